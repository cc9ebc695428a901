"""Knowledge: articles that answer what is often asked, for agents and for customers."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, case, func, or_, select
from sqlalchemy.orm import Mapped

from rapport import Choice, Entity, Problem, Reader, Unit, field, ref, utcnow
from rapport import gettext as _
from rapport_service.entities import SCOPED

WRITING = {
    "manager": "read create update delete export import",
    "member": "read create update export",
    "viewer": "read",
}
LANGUAGES = [
    Choice("en", "English"),
    Choice("fr", "French"),
    Choice("fa", "Persian"),
    Choice("he", "Hebrew"),
    Choice("zh", "Chinese"),
]
WORDS = 6
"""By so many words of a subject articles are looked for."""
SHORT = 3


class Article(Entity, name="service.article", title="Article", icon="book", roles=WRITING, display="title"):
    """What is often asked, and the answer."""

    __table_args__ = (Index("ix_service_article_published", "status", "audience", "language"),)

    title: Mapped[str] = field(label="Title", searchable=True, in_list=True, aliases=["question", "subject"])
    body: Mapped[str] = field(label="Text", kind="longtext", searchable=True, aliases=["answer", "content"])
    status: Mapped[str] = field(
        label="Status",
        choices=[
            Choice("draft", "Draft", "secondary"), Choice("published", "Published", "green"),
            Choice("archived", "Out of date", "muted"),
        ],
        default="draft", in_list=True,
    )  # fmt: skip
    audience: Mapped[str] = field(
        label="For", choices=[Choice("agents", "Agents", "blue"), Choice("portal", "Customers too", "teal")],
        default="agents", in_list=True,
    )  # fmt: skip
    language: Mapped[str] = field(label="Language", choices=LANGUAGES, default="en", in_list=True)
    of_id: Mapped[UUID | None] = ref("service.article", label="Translation of", on_delete="SET NULL")
    topic: Mapped[str] = field(label="Topic", default="", indexed=True, in_list=True)
    edition: Mapped[int] = field(label="Version of the text", default=0, readonly=True, section="Use")
    published_at: Mapped[dt.datetime | None] = field(label="Published", readonly=True, section="Use")
    helpful: Mapped[int] = field(label="Found helpful", default=0, readonly=True, in_list=True, section="Use")
    unhelpful: Mapped[int] = field(label="Found unhelpful", default=0, readonly=True, in_list=True, section="Use")

    def prepare(self) -> None:
        """What is published was published some day."""
        if self.status == "published":
            self.published_at = self.published_at or utcnow()

    def validate(self) -> Sequence[Problem]:
        """It is no translation of itself."""
        return [Problem("of_id", _("is this article itself."))] if self.of_id == self.id else []

    @classmethod
    def follow_up(cls, records: Sequence[Article], session: Any) -> None:
        """Every text that was saved is kept as a version."""
        newest = (
            select(Version.article_id, func.max(Version.number).label("number"))
            .where(Version.article_id.in_([each.id for each in records])).group_by(Version.article_id).subquery()
        )  # fmt: skip
        known = session.scalars(
            select(Version).join(newest, (newest.c.article_id == Version.article_id)
                                 & (newest.c.number == Version.number)), execution_options=SCOPED,
        )  # fmt: skip
        last = {each.article_id: each for each in known}
        for each in records:
            before = last.get(each.id)
            if each in session and (before is None or (before.title, before.body) != (each.title, each.body)):
                each.edition = 1 if before is None else before.number + 1
                session.add(Version(article_id=each.id, number=each.edition, title=each.title, body=each.body,
                                    user_id=session.unit.actor.id))  # fmt: skip


class Version(Entity, name="service.version", title="Version", icon="history", listed=False, display="title",
              roles={"manager": "read export", "member": "read", "viewer": "read"}):  # fmt: skip
    """An article as it once was."""

    __table_args__ = (UniqueConstraint("article_id", "number"),)

    article_id: Mapped[UUID] = ref("service.article", readonly=True)
    number: Mapped[int] = field(label="Number", default=1, readonly=True, in_list=True)
    title: Mapped[str] = field(label="Title", readonly=True, in_list=True)
    body: Mapped[str] = field(label="Text", kind="longtext", readonly=True)
    user_id: Mapped[UUID | None] = ref("user", label="By", readonly=True, in_list=True, on_delete="SET NULL")


class Vote(Entity, name="service.vote", title="Vote", icon="thumb-up", roles={}, listed=False, display="id"):
    """Whether somebody found an article helpful. Written only by `vote`, and once for each of them."""

    __table_args__ = (UniqueConstraint("article_id", "customer_id"), UniqueConstraint("article_id", "user_id"))

    article_id: Mapped[UUID] = ref("service.article", readonly=True)
    customer_id: Mapped[UUID | None] = ref("customer", readonly=True, on_delete="CASCADE")
    user_id: Mapped[UUID | None] = ref("user", readonly=True, on_delete="CASCADE")
    helpful: Mapped[bool] = field(label="Helpful", default=True, readonly=True)


def vote(
    unit: Unit, article: Article, helpful: bool, *, customer_id: UUID | None = None, user_id: UUID | None = None
) -> None:
    """Note that somebody found an article helpful, or not; who says so again changes their mind."""
    who = Vote.customer_id == customer_id if customer_id is not None else Vote.user_id == user_id
    known = select(Vote).where(Vote.article_id == article.id, who)
    found = unit.session.scalars(known, execution_options=SCOPED).one_or_none()
    if found is None:
        found = Vote(article_id=article.id, customer_id=customer_id, user_id=user_id)
        unit.session.add(found)
    found.helpful = helpful
    unit.flush()
    counts = select(
        func.sum(case((Vote.helpful.is_(True), 1), else_=0)), func.sum(case((Vote.helpful.is_(False), 1), else_=0))
    ).where(Vote.article_id == article.id)
    row = unit.session.execute(counts, execution_options=SCOPED).one()
    article.helpful, article.unhelpful = int(row[0] or 0), int(row[1] or 0)
    unit.flush()


def restore(unit: Unit, version: Version) -> Article:
    """Make an earlier text the article's again, as a new version."""
    article = unit.get(Article, version.article_id)
    return unit.update(article, {"title": version.title, "body": version.body})


# Finding -------------------------------------------------------------------------------------------------------------


def words_of(text: str) -> list[str]:
    """The words by which to look for what a text is about: the longest, in their order."""
    found = dict.fromkeys(
        each for each in re.findall(r"\w+", text.casefold()) if len(each) > SHORT or not each.isascii()
    )
    longest = sorted(found, key=lambda each: -len(each))[:WORDS]
    return [each for each in found if each in longest]


def found_by_words(reader: Reader, text: str, entity: type[Entity], limit: int = 30) -> list[UUID]:
    """The records of a kind that have most words of a text, the best first."""
    hits: Counter[UUID] = Counter()
    for word in words_of(text):
        hits.update({record_id: 1 for _name, record_id, _title in
                     reader.search(word, entities=[entity.meta.name], limit=limit)})  # fmt: skip
    return [record_id for record_id, _hits in hits.most_common(limit)]


def suggest(reader: Reader, text: str, *, language: str = "", limit: int = 5) -> list[Article]:
    """Published articles about what a text says, the best first; each in the customer's language where there is one."""
    ids = found_by_words(reader, text, Article)
    if not ids:
        return []
    found = {each.id: each for each in reader.all(Article, Article.id.in_(ids), *published())}
    return in_language(reader, [found[each] for each in ids if each in found], language)[:limit]


def published(*audience: str) -> tuple[Any, ...]:
    """The conditions of an article that may be read by whom it is for."""
    for_whom = (Article.audience.in_(audience),) if audience else ()
    return (Article.status == "published", Article.archived_at.is_(None), *for_whom)


def in_language(reader: Reader, articles: Sequence[Article], language: str) -> list[Article]:
    """Of each article the variant in a language, where there is one, and each only once."""
    heads = {each.of_id or each.id for each in articles}
    variants = variants_of(reader, heads, {each.audience for each in articles}) if articles and language else {}
    chosen = {head: next((each for each in some if each.language == language), None) for head, some in variants.items()}
    out: dict[UUID, Article] = {}
    for each in articles:
        head = each.of_id or each.id
        out.setdefault(head, chosen.get(head) or each)
    return list(out.values())


def variants_of(reader: Reader, heads: Iterable[UUID], audience: Iterable[str]) -> Mapping[UUID, list[Article]]:
    """The published variants of articles, by the one that they are translations of."""
    wanted = list(heads)
    belongs = or_(Article.id.in_(wanted), Article.of_id.in_(wanted))
    found: dict[UUID, list[Article]] = {}
    for each in reader.all(Article, belongs, *published(*audience)):
        found.setdefault(each.of_id or each.id, []).append(each)
    return found
