"""A site of many customers and their interactions, made in minutes: what the write path leaves, past its time.

    site = Site.open(config)
    make_many(site, customers=1_000_000, seed=1, email="bench@example.com")
    assert not differences(site, "bench@example.com")

Customers are written by Python, interactions by the database itself, in statements for a million at a time. Beside each
record stands what creating it leaves: its line in the log, its document and words in the search, and nobody who follows
the log is behind. `differences` creates some of them anew through a unit of work and says what is not alike.
The same seed gives the same site on both databases.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import random
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import func, make_url, select, update

from rapport import Customer, Interaction
from rapport.access import Actor, User
from rapport.entities import table_of
from rapport.entities.types import join_tags
from rapport.followers import follower_table
from rapport.i18n.names import full_name
from rapport.query.fold import fold
from rapport.query.search import search_document
from rapport.query.words import normalise, tokens_of
from rapport.records.log import change_log
from rapport.records.unit import searchable_names
from rapport.site import Site

PER_CUSTOMER = 10
"""How many interactions a customer has, on the average, unless one says otherwise."""
ORGANISATIONS = 10
"""Every so many-th customer is an organisation; most of the people work at one."""
AT_ONCE = 20_000
PART = 1_000_000
TEXTS = 2_000
BEGIN = dt.datetime(2021, 11, 1, tzinfo=dt.UTC)
SPAN = 5 * 365 * 24 * 3600
TABLES = ("customer", "interaction", "change_log", "search_document")

Say = Callable[[str], None]

GIVEN = {
    "en": ["Ada", "Grace", "Alan", "Mary", "John", "Ruth", "Edith", "Oscar", "Harriet", "James"],
    "fr": ["Zoé", "Émile", "Hélène", "Jean-Pierre", "Aurélie", "Benoît", "Noël", "Inès", "Rémi", "Chloé"],
    "fa": ["مریم", "علی", "زهرا", "رضا", "نگار", "حسین", "سارا", "امیر", "فاطمه", "کیان"],
    "he": ["נועה", "דוד", "שרה", "יוסף", "מרים", "אבי", "תמר", "משה", "יעל", "איתן"],
    "zh": ["伟", "芳", "娜", "秀英", "敏", "静", "强", "磊", "洋", "艳"],
}
FAMILY = {
    "en": (["Smith", "Anderson", "Martin", "Brown", "O'Brien", "Taylor"], ["", "son", "field", "well", "by", "ham"]),
    "fr": (["Lefèvre", "Dupont", "Moreau", "Garçon", "Bérard", "Lévêque"], ["", "et", "in", "eau", "ier", "ot"]),
    "fa": (["احمدی", "کریمی", "رضایی", "موسوی", "حسینی", "جعفری"], ["", " پور", " زاده", " نژاد", " فر", " راد"]),
    "he": (["כהן", "לוי", "מזרחי", "פרץ", "ביטון", "דהן"], ["", " בר", " אור", " חן", " שלו", " נוי"]),
    "zh": (["王", "李", "张", "刘", "陈", "杨"], ["", "欧", "司", "上", "诸", "慕"]),
}
BUSINESS = ["Mill", "Foods", "Travel", "Books", "Motors", "Papier", "Logistics", "Fleet", "Optik", "Bakery"]
WORDS = [
    "order", "delivery", "offer", "price", "sample", "invoice", "contract", "visit", "question", "answer",
    "complaint", "renewal", "meeting", "quantity", "warehouse", "colour", "urgent", "Monday", "summer",
    "catalogue", "discount", "pallet", "machine", "service", "spare", "training", "budget", "decision", "board",
    "spring", "letter", "phone", "trial", "license", "harvest", "driver", "ticket", "hotel", "author", "paper",
    "print", "stock",
]  # fmt: skip
KINDS = ["call", "note", "meeting", "email"]


def make_many(
    site: Site, *, customers: int, seed: int, email: str, each: int = PER_CUSTOMER, say: Say = lambda _text: None
) -> None:
    """Fill an empty site with customers and `each` interactions of each, as the user with this address made them."""
    begun = time.monotonic()
    making = _Making(site, customers, each, seed, email)
    with contextlib.closing(making.raw):
        making.begin()
        for made in making.customers():
            say(f"{made:,} customers after {time.monotonic() - begun:,.0f} s")
        for made in making.interactions():
            say(f"{made:,} interactions after {time.monotonic() - begun:,.0f} s")
        making.end()
    with site.db.write() as connection:
        end = connection.scalar(select(func.max(change_log.c.seq)))
        connection.execute(update(follower_table).values(seq=end))
    say(f"made in {time.monotonic() - begun:,.0f} s")


def customer_id(n: int, count: int) -> UUID:
    """The id of the n-th of so many customers, as uuid7 makes them, by time."""
    return UUID(int=int(_since(n, count).timestamp() * 1000) << 80 | 7 << 76 | 9 << 60 | n)


def _since(n: int, count: int) -> dt.datetime:
    return BEGIN - dt.timedelta(seconds=count - n)


class _Making:
    """One site in the making, through a connection of its own."""

    def __init__(self, site: Site, customers: int, each: int, seed: int, email: str) -> None:
        self.count = customers
        self.each = each
        self.rng = random.Random(seed)
        with site.db.read() as connection:
            users = table_of(User)
            found = connection.execute(select(users.c.id, users.c.name).where(users.c.email == email)).one()
            self.documents = connection.scalar(select(func.max(search_document.c.id))) or 0
        self.owner, self.actor = found.id, found.name
        self.searched = {entity: searchable_names(site.meta(entity)) for entity in (Customer, Interaction)}
        self.sqlite = site.db.is_sqlite
        self.raw: Any
        if self.sqlite:
            self.raw = sqlite3.connect(str(make_url(site.db.url).database), isolation_level=None)
            for pragma in ("synchronous = OFF", "cache_size = -400000", "temp_store = FILE", "foreign_keys = OFF"):
                self.raw.execute(f"PRAGMA {pragma}")
        else:
            import psycopg

            self.raw = psycopg.connect(site.db.url.replace("+psycopg", ""), autocommit=True)
            # What is made fits together; asking for each row whether it does takes longer than making it.
            for setting in ("session_replication_role = replica", "synchronous_commit = off",
                            "maintenance_work_mem = '512MB'", "work_mem = '128MB'"):  # fmt: skip
                self.raw.execute(f"SET {setting}")
        self.indexes: list[str] = []

    # What each database says in its own way ---------------------------------------------------------------------------

    def load(self, table: str, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Many rows that Python made."""
        listed = ", ".join(names)
        if self.sqlite:
            self.raw.executemany(f"INSERT INTO {table} ({listed}) VALUES ({', '.join('?' * len(names))})", rows)
            return
        with self.raw.cursor() as cursor, cursor.copy(f"COPY {table} ({listed}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def words(self, plain: str) -> str:
        """The words of a text as the database's index takes them."""
        if self.sqlite:
            return " ".join(tokens_of(plain))
        return " ".join(f"{word}:{place}" for place, word in enumerate(tokens_of(plain), 1))

    def stamp(self, at: dt.datetime) -> str:
        """A moment, as text that goes into a column of moments."""
        return f"{at:%Y-%m-%d %H:%M:%S}.000000" + ("" if self.sqlite else "+00")

    def begin(self) -> None:
        """No index is kept while the tables grow: sorting at the end is much quicker than finding each place."""
        if self.sqlite:
            places = ", ".join(f"'{table}'" for table in TABLES)
            found = self.raw.execute(
                f"SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql NOT NULL AND tbl_name IN ({places})"
            ).fetchall()
        else:
            found = self.raw.execute(
                "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() AND tablename = ANY(%s)"
                " AND NOT EXISTS (SELECT FROM pg_constraint WHERE conname = indexname)", [list(TABLES)],
            ).fetchall()  # fmt: skip
        words = "TEXT" if self.sqlite else "TSVECTOR"
        person = "number INTEGER PRIMARY KEY, id TEXT, organisation TEXT"
        text = f"k INTEGER PRIMARY KEY, kind TEXT, direction TEXT, minutes INTEGER, subject TEXT, body TEXT, logged TEXT, title TEXT, words {words}"  # noqa: E501
        with self.saving():
            for name, again in found:
                self.indexes.append(again)
                self.raw.execute(f"DROP INDEX {name}")
            self.raw.execute(f"CREATE TEMPORARY TABLE making_person ({person})")
            self.raw.execute(f"CREATE TEMPORARY TABLE making_text ({text})")
            names = ["k", "kind", "direction", "minutes", "subject", "body", "logged", "title", "words"]
            self.load("making_text", names, [self._text(k) for k in range(TEXTS)])

    def end(self) -> None:
        """Indexes again, and what the database knows of how the rows are spread."""
        for again in self.indexes:
            self.raw.execute(again)
        if self.sqlite:
            self.raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            self.raw.execute("VACUUM ANALYZE")

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """A transaction."""
        self.raw.execute("BEGIN")
        yield
        self.raw.execute("COMMIT")

    # Customers ------------------------------------------------------------------------------------------------------

    def customers(self) -> Iterator[int]:
        """Customers, in order of their numbers; gives how many there are so far."""
        fixed = {"version": 1, "website": "", "address": "{}", "time_zone": "", "note": "", "owner_id": self.owner.hex}
        people = self._people()
        made = 0
        while part := list(islice(people, AT_ONCE)):
            with self.saving():
                names = [*part[0][1], *fixed]
                self.load("customer", names, [(*values.values(), *fixed.values()) for _, values, _ in part])
                self.load("change_log", LOGGED, [
                    (values["created_at"], self.owner.hex, self.actor, "api", "customer", values["id"], "created", 1,
                     told, 0) for _, values, told in part
                ])  # fmt: skip
                self._customer_documents([values for _, values, _ in part])
                self.load("making_person", ["number", "id", "organisation"],
                          [(n, values["id"], values["organisation_id"]) for n, values, _ in part])  # fmt: skip
            made += len(part)
            if made % 100_000 == 0 or made == self.count:
                yield made

    def _people(self) -> Iterator[tuple[int, dict[str, Any], str]]:
        """Number, columns, and what the log says."""
        rng, languages = self.rng, list(GIVEN)
        for n in range(self.count):
            language = languages[n % len(languages)] if n % 3 else "en"
            # A name tells its language often, not always: else a list by name would have languages in blocks.
            speaks = language if rng.random() < 0.7 else rng.choice(languages)
            employer, title, industry = None, "", ""
            given, family, tags = "", "", ["vip"] if n % 20 == 0 else []
            if n % ORGANISATIONS == 0:
                house = rng.choice(FAMILY["en"][0] + FAMILY["fr"][0])
                name = f"{house} {rng.choice(BUSINESS)} {n // ORGANISATIONS}"
                industry = rng.choice(["food", "books", "travel", "machines"])
            else:
                first, endings = FAMILY[language]
                given, family = rng.choice(GIVEN[language]), rng.choice(first) + rng.choice(endings)
                if rng.random() < 0.5:
                    family += f"-{rng.choice(first)}" if language in {"en", "fr"} else f" {rng.choice(first)}"
                name, title = full_name(given, family, language), rng.choice(["Buyer", "Director", "Driver"])
                # One of the organisations just before.
                employer = self._id(max(0, n // ORGANISATIONS - n % 3) * ORGANISATIONS) if n % 5 else None
            at = self.stamp(_since(n, self.count))
            values = {
                "id": self._id(n).hex, "kind": "person" if n % ORGANISATIONS else "organisation", "name": name,
                "given_name": given, "family_name": family, "organisation_id": employer and employer.hex,
                "job_title": title, "email": f"person.{n}@example.org", "phone": f"+4930{n:08d}",
                "language": speaks, "industry": industry, "source": rng.choice(["fair", "web", "referral", ""]),
                "tags": join_tags(tags), "reference": f"C-{n}", "name_key": fold(name), "created_at": at,
                "updated_at": at,
            }  # fmt: skip
            told = {name: value for name, value in values.items()
                    if name not in {"id", "name_key", "created_at", "updated_at"}}  # fmt: skip
            told |= {"organisation_id": employer and str(employer), "tags": tags, "owner_id": str(self.owner)}
            yield n, values, _logged(told)

    def _id(self, n: int) -> UUID:
        return customer_id(n, self.count)

    def _customer_documents(self, rows: Sequence[Mapping[str, Any]]) -> None:
        documents = []
        for values in rows:
            told = {**values, "tags": " ".join(values["tags"].split())}
            plain = normalise("\n".join(told[name] for name in self.searched[Customer] if told[name]))
            self.documents += 1
            documents.append((self.documents, "customer", values["id"], _title(plain), self.words(plain)))
        if self.sqlite:
            self.load("search_document", ["id", "entity", "record_id", "title"], [each[:4] for each in documents])
            self.load("search_index", ["rowid", "words"], [(each[0], each[4]) for each in documents])
        else:
            names = ["entity", "record_id", "title", "words"]
            self.load("search_document", names, [each[1:] for each in documents])

    # Interactions ---------------------------------------------------------------------------------------------------

    def _text(self, k: int) -> tuple[Any, ...]:
        """What may be said in an interaction, with what the log and the search make of it."""
        rng, kind = self.rng, KINDS[k % len(KINDS)]
        values = {
            "kind": kind,
            "direction": "" if kind in {"note", "meeting"} else rng.choice(["in", "out"]),
            "minutes": rng.randrange(1, 60) if kind in {"call", "meeting"} else None,
            "subject": f"About the {rng.choice(WORDS)} and the {rng.choice(WORDS)}",
            "body": " ".join(rng.choice(WORDS) for _ in range(rng.randrange(6, 16))).capitalize() + ".",
        }
        plain = normalise("\n".join(str(values[name]) for name in self.searched[Interaction]))
        return (k, *values.values(), _logged(values)[1:], _title(plain), self.words(plain))

    def interactions(self) -> Iterator[int]:
        """Interactions in the order of time, by statements for a million each; gives how many there are so far."""
        total = self.count * self.each
        # Spread by Knuth's multiplier; squared, so that a few customers have much and many have little.
        spread = "(((n * 2654435761) % 4294967296) / 256)"
        person = f"(({spread} * {spread} / 16777216) * {self.count} / 16777216)"
        seconds = f"({int(BEGIN.timestamp())} + n * {SPAN} / {total})"
        if self.sqlite:
            numbers = (
                "WITH RECURSIVE every(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM every WHERE n + 1 < {end}) "
                "SELECT n FROM every"
            )
            id_, uuid, json_ = "printf('%012x70008%015x', s * 1000, n)", "", ""
            at, iso = (
                "strftime('%Y-%m-%d %H:%M:%S.000000', s, 'unixepoch')",
                "strftime('%Y-%m-%dT%H:%M:%SZ', s, 'unixepoch')",
            )

            def dashed(column: str) -> str:
                parts = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
                return " || '-' || ".join(f"substr({column}, {start}, {length})" for start, length in parts)
        else:
            numbers = "SELECT n::bigint AS n FROM generate_series({first}, {end} - 1) AS s(n)"
            uuid, json_ = "::uuid", "::jsonb"
            id_ = "(lpad(to_hex(s * 1000), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid"
            at, iso = "to_timestamp(s)", "to_char(to_timestamp(s) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"

            def dashed(column: str) -> str:
                return f"{column}::uuid::text"

        owner = f"'{self.owner.hex}'{uuid}"
        told = (
            f"""'{{"customer_id": [null, "' || {dashed("p.id")} || '"], "at": [null, "' || {iso} || '"], '"""
            f""" || CASE WHEN p.organisation IS NULL THEN '' ELSE"""
            f""" '"organisation_id": [null, "' || {dashed("p.organisation")} || '"], ' END"""
            f""" || '"owner_id": [null, "{self.owner}"], ' || t.logged"""
        )
        for first in range(0, total, PART):
            end = min(first + PART, total)
            source = (
                f"FROM (SELECT n, {person} AS c, {seconds} AS s FROM ({numbers.format(first=first, end=end)}) AS each) "
                f"AS each JOIN making_person AS p ON p.number = c JOIN making_text AS t ON t.k = n * 7919 % {TEXTS}"
            )
            with self.saving():
                self.raw.execute(
                    "INSERT INTO interaction (id, version, customer_id, kind, direction, at, subject, body, outcome, "
                    "minutes, about_entity, channel, source, organisation_id, owner_id, created_at, updated_at) "
                    f"SELECT {id_}, 1, p.id{uuid}, t.kind, t.direction, {at}, t.subject, t.body, '', t.minutes, '', "
                    f"'', '', p.organisation{uuid}, {owner}, {at}, {at} {source} ORDER BY n"
                )
                self.raw.execute(
                    f"INSERT INTO change_log ({', '.join(LOGGED)}) SELECT {at}, {owner}, '{self.actor}', 'api', "
                    f"'interaction', {id_}, 'created', 1, ({told}){json_}, 0 {source} ORDER BY n"
                )
                if self.sqlite:
                    place = f"{self.documents + 1} + n"
                    self.raw.execute(
                        "INSERT INTO search_document (id, entity, record_id, title) "
                        f"SELECT {place}, 'interaction', {id_}, t.title {source} ORDER BY n"
                    )
                    self.raw.execute(
                        f"INSERT INTO search_index (rowid, words) SELECT {place}, t.words {source} ORDER BY n"
                    )
                else:
                    self.raw.execute(
                        "INSERT INTO search_document (entity, record_id, title, words) "
                        f"SELECT 'interaction', {id_}, t.title, t.words {source} ORDER BY n"
                    )
            yield end


LOGGED = ["at", "actor_id", "actor", "via", "entity", "record_id", "action", "version", "changes", "depth"]
"""The columns of the log, in the order in which they are filled here."""


def _logged(values: Mapping[str, Any]) -> str:
    return json.dumps({name: [None, value] for name, value in values.items() if value not in (None, "", [])})


def _title(plain: str) -> str:
    return plain.partition("\n")[0][:80]


# Whether it is true ---------------------------------------------------------------------------------------------------


def differences(site: Site, email: str, *, sample: int = 20, seed: int = 1) -> list[str]:
    """Create some customers and interactions anew, through a unit of work, and say where what that leaves is not like
    what was made. What was created for it is deleted again.
    """
    with site.db.read() as connection:
        user_id = connection.scalar(select(table_of(User).c.id).where(table_of(User).c.email == email))
    assert user_id is not None
    actor = site.actor(user_id)
    assert actor is not None
    actor = actor.through("api")
    rng = random.Random(seed)
    found: list[str] = []
    for entity in (Customer, Interaction):
        table = table_of(entity)
        with site.db.read() as connection:
            # From anywhere: the first ones after some moment, by their ids, which are in the order of time.
            least = (
                connection.scalar(select(func.min(table.c.created_at))),
                connection.scalar(select(func.max(table.c.created_at))),
            )
            assert least[0] is not None
            span = (least[1] - least[0]).total_seconds()
            moments = [least[0] + dt.timedelta(seconds=rng.random() * span) for _ in range(sample)]
            ids = [
                connection.scalar(select(table.c.id).where(table.c.id >= UUID(int=int(at.timestamp() * 1000) << 80))
                                  .order_by(table.c.id).limit(1)) for at in moments
            ]  # fmt: skip
        for record_id in dict.fromkeys(each for each in ids if each is not None):
            found += _unlike(site, actor, entity, record_id)
    return found


def _unlike(site: Site, actor: Actor, entity: Any, record_id: UUID) -> list[str]:
    meta = site.meta(entity)
    with site.read(actor) as reader:
        made = reader.get(entity, record_id)
        values = {f.name: f.dump(getattr(made, f.name)) for f in meta.writable if not f.custom}
    with site.write(actor) as unit:
        again = unit.create(entity, values).id
    before, after = (_left(site, meta.name, table_of(entity), each) for each in (record_id, again))
    with site.write(actor) as unit:
        unit.delete(unit.get(entity, again))
    return [
        f"{meta.name} {record_id}: {what} is {before[what]!r}, and created anew {after[what]!r}"
        for what in after if before[what] != after[what]
    ]  # fmt: skip


def _left(site: Site, name: str, table: Any, record_id: UUID) -> dict[str, Any]:
    """Everything that a record left anywhere, without ids and times."""
    with site.db.read() as connection:
        row = connection.execute(select(table).where(table.c.id == record_id)).one()._asdict()
        lines = connection.execute(
            select(change_log).where(change_log.c.entity == name, change_log.c.record_id == record_id)
        ).all()
        document = connection.execute(
            select(search_document).where(search_document.c.entity == name, search_document.c.record_id == record_id)
        ).one()
        words = document.words
        if site.db.is_sqlite:
            words = connection.exec_driver_sql(
                "SELECT words FROM search_index WHERE rowid = ?", (document.id,)
            ).scalar()
    left = {f"{name}.{column}": value for column, value in row.items()}
    for number, line in enumerate(lines):
        left |= {f"log {number}.{column}": value for column, value in line._asdict().items()}
    left |= {"title": document.title, "words": words}
    own = {"id", "created_at", "updated_at", "seq", "record_id", "at"}
    return {what: value for what, value in left.items()
            if what == "interaction.at" or what.rpartition(".")[2] not in own}  # fmt: skip
