"""The people, firms and words of the sample business. All invented; numbers are reserved for fiction or not in use."""
# ruff: noqa: E501 - one text a line reads better than texts cut in pieces

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Country:
    """Customers who speak a language: who they are, where they live, and what one says to each other."""

    language: str
    country: str
    phone: str
    """The start of numbers nobody has; four digits follow."""
    currency: str
    people: tuple[tuple[str, str, str, str], ...]
    """Given name, family name, both in Latin letters, job title."""
    firms: tuple[tuple[str, str, str, str, str, str], ...]
    """Name, address on the web, street, postcode, city, industry."""
    deals: tuple[str, ...]
    calls: tuple[tuple[str, str], ...]
    mails: tuple[tuple[str, str], ...]
    meetings: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    steps: tuple[str, ...]
    interests: tuple[str, ...]
    lead_notes: tuple[str, ...]


ENGLISH = Country(
    "en", "GB", "+44207946", "EUR",
    people=(
        ("Amelia", "Hartley", "amelia.hartley", "Facilities manager"), ("Oliver", "Penrose", "oliver.penrose", "Director"),
        ("Grace", "Okonkwo", "grace.okonkwo", "Head teacher"), ("Henry", "Ashdown", "henry.ashdown", "Owner"),
        ("Priya", "Nair", "priya.nair", "Operations manager"), ("Callum", "Fraser", "callum.fraser", "Farm manager"),
        ("Ruth", "Whitcombe", "ruth.whitcombe", "Treasurer"), ("Samuel", "Adeyemi", "samuel.adeyemi", "Site engineer"),
        ("Isla", "MacRae", "isla.macrae", ""), ("Thomas", "Bellwether", "thomas.bellwether", ""),
        ("Nadia", "Hussain", "nadia.hussain", ""), ("George", "Tarrant", "george.tarrant", ""),
        ("Eleanor", "Finch", "eleanor.finch", ""), ("Daniel", "Osei", "daniel.osei", ""),
        ("Harriet", "Lowe", "harriet.lowe", ""), ("Jack", "Merriweather", "jack.merriweather", ""),
    ),
    firms=(
        ("Penrose Bakeries", "penrose-bakeries.example", "14 Mill Lane", "BS1 4QD", "Bristol", "Food"),
        ("Ashdown Garden Centre", "ashdown-garden.example", "Forest Road", "TN22 3HQ", "Uckfield", "Retail"),
        ("St Brannock’s School", "st-brannocks.example", "2 Church Hill", "EX33 1JY", "Braunton", "Education"),
        ("Glen Orrin Distillery", "glen-orrin.example", "The Old Mill", "IV6 7XA", "Muir of Ord", "Food"),
        ("Fraser Dairy Farm", "fraser-dairy.example", "Nether Croft", "KA6 5JU", "Ayr", "Farming"),
        ("Tidewater Cold Stores", "tidewater.example", "Dock Street 9", "HU1 3DZ", "Hull", "Logistics"),
        ("Whitcombe Housing Trust", "whitcombe-trust.example", "31 Queen Square", "BA1 2HN", "Bath", "Housing"),
        ("Larkfield Leisure Pool", "larkfield-pool.example", "Station Approach", "ME20 6PU", "Larkfield", "Leisure"),
    ),
    deals=("Roof array", "Battery for the cold room", "Car park canopy", "Heat pump and solar", "Service contract",
           "Second roof", "Balcony set for the flats"),
    calls=(
        ("Asked about the yield", "Wanted to know what the roof gives in winter. Explained the simulation and promised the monthly table."),
        ("Roof survey agreed", "The surveyor may come on Thursday morning. Scaffolding is not needed, there is a roof hatch."),
        ("Price is above their budget", "They had reckoned with a fifth less. Offered to leave the battery for a second phase."),
        ("Not reached", "No answer. Left a message with the number of the office."),
        ("Chased the signature", "The contract is on the director’s desk; she is back on Monday."),
    ),
    mails=(
        ("Your solar offer", "Thank you for showing us round. Attached is the offer with and without the battery, and the drawing of the roof."),
        ("Re: grid connection", "The network operator answered: 30 kW are possible without work on the transformer. The letter is attached."),
        ("Question about the guarantee", "You asked how long the modules are guaranteed: 25 years on output, 15 years on the product itself."),
        ("References near you", "Two customers within ten miles would be glad to show their plants. Shall I arrange a visit?"),
    ),
    meetings=(
        ("Site visit", "Walked the roof with the caretaker. South side is free of shade, the north side is not worth it. Meter cupboard has room."),
        ("Presentation to the board", "Six people, good questions about cash flow. They decide at the meeting next month."),
        ("Handover", "Plant runs, app installed on two phones, folder handed over. They will send friends."),
    ),
    notes=("Prefers to be called before nine.", "Compares us with two other firms; cares more about service than price.",
           "Roof is listed: ask the conservation officer before the drawing.", "The son decides on anything technical."),
    steps=("Send the revised offer", "Call about the survey date", "Ask for the latest electricity bill",
           "Arrange the reference visit", "Check the grid connection"),
    interests=("Solar roof", "Battery storage", "Car charging", "Heat pump"),
    lead_notes=("Wrote through the website, wants to be called back.", "Met at the energy fair, took the brochure.",
                "Neighbour of a customer; saw the plant from the street."),
)  # fmt: skip

FRENCH = Country(
    "fr", "FR", "+33199000", "EUR",
    people=(
        ("Camille", "Beaurepaire", "camille.beaurepaire", "Gérante"), ("Julien", "Castelnau", "julien.castelnau", "Directeur technique"),
        ("Inès", "Delacroix-Roy", "ines.delacroixroy", "Responsable des achats"), ("Théo", "Marchandeau", "theo.marchandeau", "Chef d’exploitation"),
        ("Hélène", "Vautrin", "helene.vautrin", "Maire adjointe"), ("Mathis", "Lagarrigue", "mathis.lagarrigue", "Vigneron"),
        ("Aïcha", "Benhaddou", "aicha.benhaddou", "Directrice"), ("Étienne", "Quérel", "etienne.querel", "Président"),
        ("Louise", "Pontavice", "louise.pontavice", ""), ("Bastien", "Fournel", "bastien.fournel", ""),
        ("Zoé", "Maillard-Petit", "zoe.maillardpetit", ""), ("Antoine", "Guérande", "antoine.guerande", ""),
        ("Margaux", "Sérignac", "margaux.serignac", ""), ("Noé", "Tessandier", "noe.tessandier", ""),
        ("Clémence", "Aubrac", "clemence.aubrac", ""), ("Rachid", "El Ouardi", "rachid.elouardi", ""),
    ),
    firms=(
        ("Fournil Castelnau", "fournil-castelnau.example", "8 rue du Four", "31000", "Toulouse", "Alimentation"),
        ("Domaine Lagarrigue", "domaine-lagarrigue.example", "Chemin des Vignes", "34150", "Gignac", "Agriculture"),
        ("Mairie de Saint-Aubrac", "saint-aubrac.example", "1 place de la République", "12470", "Saint-Aubrac", "Commune"),
        ("Atelier Vautrin", "atelier-vautrin.example", "23 quai Nord", "67000", "Strasbourg", "Industrie"),
        ("Clinique des Tilleuls", "clinique-tilleuls.example", "5 avenue des Tilleuls", "69006", "Lyon", "Santé"),
        ("Camping Les Embruns", "les-embruns.example", "Route de la Plage", "29740", "Plobannalec", "Tourisme"),
        ("Imprimerie Quérel", "imprimerie-querel.example", "40 rue des Encres", "44000", "Nantes", "Industrie"),
        ("Coopérative du Haut-Pré", "haut-pre.example", "La Grange", "39300", "Champagnole", "Agriculture"),
    ),
    deals=("Toiture solaire", "Ombrière de parking", "Batterie pour l’atelier", "Pompe à chaleur", "Contrat d’entretien",
           "Extension de la centrale", "Kit balcon"),
    calls=(
        ("Question sur la prime", "Souhaite savoir si la prime à l’autoconsommation s’applique. Confirmé ; le dossier est à déposer avant les travaux."),
        ("Rendez-vous fixé", "Visite du toit mardi à 10 h. Prévoir une échelle de six mètres."),
        ("Trouve l’offre trop chère", "Un concurrent est à 8 % de moins, mais sans suivi. À rappeler avec le détail de l’entretien."),
        ("Pas de réponse", "Message laissé sur le répondeur."),
        ("Attend l’accord de la banque", "La banque répond la semaine prochaine ; le reste est décidé."),
    ),
    mails=(
        ("Votre devis solaire", "Merci pour votre accueil. Vous trouverez ci-joint le devis, le plan de calepinage et l’étude de production."),
        ("Raccordement", "Enedis a confirmé le raccordement en 36 kVA. Le délai annoncé est de huit semaines."),
        ("Garantie des panneaux", "Comme convenu : vingt-cinq ans sur la production, quinze ans sur le produit, pose comprise."),
        ("Photos de la toiture", "Merci pour les photos. La charpente paraît saine ; notre couvreur la vérifiera lors de la visite."),
    ),
    meetings=(
        ("Visite du site", "Toit plein sud, pas d’ombre avant 16 h. Le local technique est assez grand pour la batterie."),
        ("Réunion avec le conseil", "Présentation devant neuf élus. Le vote aura lieu à la prochaine séance."),
        ("Mise en service", "La centrale produit. La gérante est ravie et accepte que l’on cite son nom."),
    ),
    notes=("À appeler plutôt l’après-midi.", "Décision prise en famille ; le frère tient les comptes.",
           "Bâtiment classé : voir l’architecte des Bâtiments de France.", "Demande une facture en deux fois."),
    steps=("Envoyer le devis corrigé", "Rappeler pour la visite", "Demander la facture d’électricité",
           "Relancer la banque", "Préparer le dossier de prime"),
    interests=("Toiture solaire", "Batterie", "Borne de recharge", "Pompe à chaleur"),
    lead_notes=("Demande reçue par le site, à rappeler.", "Rencontré au salon de l’habitat.", "Recommandé par un client."),
)  # fmt: skip

PERSIAN = Country(
    "fa", "IR", "+98210000", "EUR",
    people=(
        ("مینا", "رضایی", "mina.rezaei", "مدیر خرید"), ("آرش", "کاویانی", "arash.kaviani", "مدیرعامل"),
        ("شیرین", "یزدان‌پناه", "shirin.yazdanpanah", "مدیر مالی"), ("کیوان", "مهرآیین", "keyvan.mehrayin", "مهندس تأسیسات"),
        ("نرگس", "فرهمند", "narges.farahmand", "مدیر مدرسه"), ("بهرام", "توکلی", "bahram.tavakoli", "باغدار"),
        ("لاله", "شجاعی", "laleh.shojaei", "مدیر هتل"), ("سینا", "پاک‌نژاد", "sina.paknejad", "مدیر کارخانه"),
        ("پریسا", "گلستانی", "parisa.golestani", ""), ("امید", "نیک‌روش", "omid.nikravesh", ""),
        ("سارا", "آذرنوش", "sara.azarnoush", ""), ("فرهاد", "دانشور", "farhad.daneshvar", ""),
        ("مهتاب", "صالحی", "mahtab.salehi", ""), ("حسین", "بهروزی", "hossein.behrouzi", ""),
        ("الهام", "کریم‌زاده", "elham.karimzadeh", ""), ("رامین", "سپهری", "ramin.sepehri", ""),
    ),
    firms=(
        ("نان سحر", "nan-sahar.example", "خیابان گلستان، پلاک ۱۲", "1416753110", "تهران", "مواد غذایی"),
        ("هتل نارنجستان", "hotel-narenjestan.example", "بلوار چمران", "7194684471", "شیراز", "گردشگری"),
        ("دبستان روشنک", "roshanak-school.example", "کوچهٔ بهار، پلاک ۵", "8174673441", "اصفهان", "آموزش"),
        ("باغ انار کویر", "anar-kavir.example", "جادهٔ میبد", "8961934567", "یزد", "کشاورزی"),
        ("سردخانهٔ البرز", "alborz-cold.example", "شهرک صنعتی، خیابان سوم", "3164937521", "کرج", "انبارداری"),
        ("کارگاه کاشی فیروزه", "firouzeh-tile.example", "خیابان ابریشم", "9134813615", "مشهد", "صنعت"),
        ("درمانگاه مهر", "mehr-clinic.example", "میدان ساعت", "5135763417", "تبریز", "بهداشت"),
        ("چاپ شقایق", "shaghayegh-print.example", "خیابان فردوسی", "4133615871", "رشت", "صنعت"),
    ),
    deals=("نیروگاه خورشیدی بام", "باتری سردخانه", "سایبان پارکینگ", "پمپ حرارتی", "قرارداد سرویس", "توسعهٔ نیروگاه",
           "بستهٔ بالکن"),
    calls=(
        ("پرسش دربارهٔ تولید زمستان", "پرسیدند در زمستان چقدر برق تولید می‌شود. قرار شد جدول ماهانه را بفرستیم."),
        ("قرار بازدید", "برای روز سه‌شنبه ساعت ده صبح قرار بازدید از بام گذاشته شد."),
        ("قیمت بالاتر از بودجه است", "حدود پانزده درصد بالاتر از بودجهٔ آن‌هاست. پیشنهاد دادیم باتری در مرحلهٔ دوم نصب شود."),
        ("پاسخ ندادند", "تماس گرفتیم، پاسخ ندادند. پیام گذاشته شد."),
        ("منتظر تأیید هیئت‌مدیره", "هیئت‌مدیره هفتهٔ آینده تصمیم می‌گیرد؛ نظر مدیرعامل مثبت است."),
    ),
    mails=(
        ("پیشنهاد قیمت نیروگاه خورشیدی", "با سپاس از وقتی که گذاشتید، پیشنهاد قیمت و نقشهٔ چیدمان پنل‌ها پیوست است."),
        ("اتصال به شبکه", "شرکت توزیع با اتصال سی کیلووات موافقت کرد. نامهٔ رسمی پیوست است."),
        ("ضمانت پنل‌ها", "همان‌طور که خواستید: بیست‌وپنج سال ضمانت تولید و پانزده سال ضمانت محصول."),
        ("عکس‌های بام", "عکس‌ها رسید، سپاسگزاریم. سازه مناسب به نظر می‌رسد؛ در بازدید دوباره بررسی می‌کنیم."),
    ),
    meetings=(
        ("بازدید از محل", "بام رو به جنوب و بدون سایه است. جای باتری در موتورخانه هست."),
        ("جلسه با مدیران", "برنامهٔ مالی را توضیح دادیم. پرسش‌ها بیشتر دربارهٔ بازگشت سرمایه بود."),
        ("تحویل نیروگاه", "نیروگاه راه افتاد و برنامهٔ تلفن همراه نصب شد. مشتری بسیار راضی است."),
    ),
    notes=("بهتر است پیش از ظهر تماس بگیریم.", "با دو شرکت دیگر هم مقایسه می‌کنند؛ خدمات برایشان مهم‌تر از قیمت است.",
           "تصمیم نهایی با برادر بزرگ‌تر است.", "پرداخت در سه قسط را ترجیح می‌دهند."),
    steps=("فرستادن پیشنهاد اصلاح‌شده", "تماس برای زمان بازدید", "گرفتن قبض برق", "پیگیری تأیید هیئت‌مدیره", "بررسی اتصال به شبکه"),
    interests=("نیروگاه خورشیدی", "باتری", "شارژر خودرو", "پمپ حرارتی"),
    lead_notes=("از راه وب‌سایت پیام داده؛ تماس بگیریم.", "در نمایشگاه انرژی آشنا شدیم.", "معرفی یکی از مشتریان."),
)  # fmt: skip

HEBREW = Country(
    "he", "IL", "+97230000", "ILS",
    people=(
        ("יעל", "ברקאי", "yael.barkai", "מנהלת תפעול"), ("איתן", "שפירא", "eitan.shapira", "מנכ״ל"),
        ("תמר", "אלוני", "tamar.aloni", "גזברית"), ("עומר", "חדד", "omer.hadad", "מהנדס ראשי"),
        ("מיכל", "רוזנטל", "michal.rosental", "מנהלת בית ספר"), ("גיל", "נחמני", "gil.nachmani", "חקלאי"),
        ("רונית", "סגל", "ronit.segal", "מנהלת מלון"), ("אסף", "בן דוד", "asaf.bendavid", "קניין"),
        ("שירה", "כץ", "shira.katz", ""), ("דניאל", "מזרחי", "daniel.mizrahi", ""),
        ("נטע", "גולן", "neta.golan", ""), ("יונתן", "פרידמן", "yonatan.fridman", ""),
        ("הדס", "אברהמי", "hadas.avrahami", ""), ("אורי", "צור", "uri.tzur", ""),
        ("ליאת", "מורג", "liat.morag", ""), ("משה", "דהן", "moshe.dahan", ""),
    ),
    firms=(
        ("מאפיית שפירא", "shapira-bakery.example", "רחוב הטחנה 7", "6701101", "תל אביב", "מזון"),
        ("מלון חוף הדקל", "hof-hadekel.example", "שדרות הים 21", "8800101", "אילת", "תיירות"),
        ("בית ספר אלונים", "alonim-school.example", "רחוב הגפן 3", "3604201", "קריית טבעון", "חינוך"),
        ("משק נחמני", "nachmani-farm.example", "מושב עין הדר", "1933000", "עפולה", "חקלאות"),
        ("קירור הגליל", "galil-cold.example", "אזור התעשייה", "2010001", "כרמיאל", "אחסון"),
        ("דפוס רימון", "rimon-print.example", "רחוב המלאכה 15", "5885111", "חולון", "תעשייה"),
        ("מרפאת הברוש", "brosh-clinic.example", "רחוב הרימון 9", "9342201", "ירושלים", "בריאות"),
        ("נגריית ארז", "erez-carpentry.example", "דרך העמק 44", "3508401", "חיפה", "תעשייה"),
    ),
    deals=("מערכת סולארית לגג", "סוללה לחדר הקירור", "הצללה סולארית לחניון", "משאבת חום", "חוזה שירות", "הרחבת המערכת",
           "ערכה למרפסת"),
    calls=(
        ("שאלה על ההספק בחורף", "ביקשו לדעת כמה המערכת מפיקה בחורף. הבטחתי לשלוח טבלה חודשית."),
        ("נקבע סיור בגג", "הסיור ביום שלישי בעשר. יש סולם ויש גישה מחדר המדרגות."),
        ("המחיר מעל התקציב", "גבוה בכעשרה אחוזים ממה שתכננו. הצעתי לדחות את הסוללה לשלב ב׳."),
        ("לא ענו", "השארתי הודעה במזכירה."),
        ("מחכים לאישור ההנהלה", "ההנהלה מתכנסת בשבוע הבא. המנכ״ל בעד."),
    ),
    mails=(
        ("הצעת מחיר למערכת סולארית", "תודה על האירוח. מצורפים הצעת המחיר, שרטוט הגג ותחזית הייצור."),
        ("חיבור לרשת", "התקבל אישור לחיבור של 30 קילוואט. המכתב מצורף."),
        ("אחריות על הפאנלים", "כפי שביקשתם: 25 שנה על התפוקה ו־15 שנה על המוצר."),
        ("תמונות הגג", "תודה על התמונות. הגג נראה תקין, נבדוק שוב בסיור."),
    ),
    meetings=(
        ("סיור באתר", "הגג פונה לדרום וללא הצללה. יש מקום לסוללה בחדר החשמל."),
        ("מצגת להנהלה", "שש משתתפות ומשתתפים, שאלות טובות על ההחזר. יחליטו בחודש הבא."),
        ("מסירת המערכת", "המערכת עובדת והאפליקציה הותקנה. הלקוחה מרוצה מאוד."),
    ),
    notes=("עדיף להתקשר בשעות הבוקר.", "משווים אותנו לשתי חברות אחרות; השירות חשוב להם יותר מהמחיר.",
           "האחות מחליטה בענייני כספים.", "מבקשים לשלם בשלושה תשלומים."),
    steps=("לשלוח הצעה מתוקנת", "להתקשר לתיאום סיור", "לבקש חשבון חשמל", "לבדוק מול ההנהלה", "לבדוק חיבור לרשת"),
    interests=("מערכת סולארית", "סוללה", "עמדת טעינה", "משאבת חום"),
    lead_notes=("השאירו פרטים באתר, לחזור אליהם.", "נפגשנו ביריד האנרגיה.", "הגיעו בהמלצת לקוח."),
)  # fmt: skip

CHINESE = Country(
    "zh", "CN", "+86210000", "EUR",
    people=(
        ("小明", "王", "xiaoming.wang", "采购经理"), ("丽华", "陈", "lihua.chen", "总经理"),
        ("志强", "林", "zhiqiang.lin", "工程主管"), ("雅婷", "周", "yating.zhou", "财务主管"),
        ("建国", "赵", "jianguo.zhao", "厂长"), ("思远", "欧阳", "siyuan.ouyang", "校长"),
        ("美玲", "黄", "meiling.huang", "酒店经理"), ("文博", "徐", "wenbo.xu", "农场主"),
        ("晓燕", "孙", "xiaoyan.sun", ""), ("子轩", "马", "zixuan.ma", ""),
        ("秀英", "何", "xiuying.he", ""), ("浩然", "郭", "haoran.guo", ""),
        ("静怡", "罗", "jingyi.luo", ""), ("国栋", "高", "guodong.gao", ""),
        ("雨桐", "梁", "yutong.liang", ""), ("家豪", "谢", "jiahao.xie", ""),
    ),
    firms=(
        ("晨光面包坊", "chenguang-bakery.example", "复兴路一百二十号", "200030", "上海", "食品"),
        ("西湖茶园", "xihu-tea.example", "龙井路八号", "310013", "杭州", "农业"),
        ("育才小学", "yucai-school.example", "学府街十五号", "210008", "南京", "教育"),
        ("海蓝冷链", "hailan-cold.example", "港口大道六十六号", "266071", "青岛", "物流"),
        ("青竹酒店", "qingzhu-hotel.example", "人民南路二十号", "610041", "成都", "旅游"),
        ("宏图印刷厂", "hongtu-print.example", "工业园三号路", "518057", "深圳", "制造"),
        ("仁和诊所", "renhe-clinic.example", "中山路九十九号", "430014", "武汉", "医疗"),
        ("金穗农场", "jinsui-farm.example", "平原镇", "450003", "郑州", "农业"),
    ),
    deals=("屋顶光伏", "冷库储能", "停车场光伏棚", "空气源热泵", "维护合同", "光伏扩容", "阳台光伏套装"),
    calls=(
        ("询问冬季发电量", "客户想了解冬季的发电量，答应把按月的测算表发过去。"),
        ("约定现场勘查", "约好周二上午十点上屋顶勘查，物业会派人陪同。"),
        ("价格超出预算", "报价比他们的预算高百分之十左右，建议电池放到二期再装。"),
        ("无人接听", "打了两次没有接，已留言。"),
        ("等待董事会批准", "下周开会决定，总经理表示支持。"),
    ),
    mails=(
        ("光伏系统报价", "感谢您的接待。附件是报价单、屋顶排布图和发电量测算。"),
        ("并网事宜", "供电公司已同意三十千瓦并网，批复文件见附件。"),
        ("组件质保", "您问到的质保：发电量二十五年，产品十五年，含安装。"),
        ("屋顶照片", "照片已收到，结构看起来没有问题，勘查时再确认一次。"),
    ),
    meetings=(
        ("现场勘查", "屋顶朝南，没有遮挡，配电房里有放电池的位置。"),
        ("方案汇报", "向管理层讲解了回本周期，大家主要关心现金流，下个月决定。"),
        ("并网交付", "系统已经发电，手机应用也装好了，客户非常满意。"),
    ),
    notes=("最好上午打电话。", "同时在比较另外两家，更看重售后服务。", "最后由董事长拍板。", "希望分三期付款。"),
    steps=("发送修改后的报价", "电话确认勘查时间", "索取电费单", "跟进董事会审批", "确认并网条件"),
    interests=("屋顶光伏", "储能电池", "充电桩", "热泵"),
    lead_notes=("在网站留言，请回电。", "在能源展上认识的。", "老客户介绍。"),
)  # fmt: skip

COUNTRIES = (ENGLISH, FRENCH, PERSIAN, HEBREW, CHINESE)

SALESPEOPLE = (
    ("Claire Dubois", "claire.dubois@example.com", "fr", "Europe/Paris", "West"),
    ("James Okafor", "james.okafor@example.com", "en", "Europe/London", "West"),
    ("دریا کریمی", "darya.karimi@example.com", "fa", "Asia/Tehran", "East"),
    ("נועה לוי", "noa.levi@example.com", "he", "Asia/Jerusalem", "East"),
)
"""Name, e-mail, language, time zone, team: made only where nobody sells yet."""
