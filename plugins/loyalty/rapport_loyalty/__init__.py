"""Loyalty cards: every customer gets one, and collects points on it."""

from sqlalchemy.orm import Mapped, Session

from rapport import Customer, Entity, UUID, field, hookimpl, ref


class Card(Entity, name="loyalty.card", title="Loyalty card", icon="award",
           roles={"member": "read create", "viewer": "read"}):
    """A card belongs to one customer and carries a tier and points."""

    customer_id: Mapped[UUID] = ref("customer")
    number: Mapped[str] = field(label="Card number", unique=True, searchable=True)
    tier: Mapped[str] = field(label="Tier", choices=["bronze", "silver", "gold"], default="bronze")
    points: Mapped[int] = field(label="Points", default=0)


@hookimpl
def register_entities() -> list[type[Entity]]:
    return [Card]


@hookimpl
def customer_created(customer: Customer, session: Session) -> None:
    """Hand every new customer a card."""
    session.add(Card(customer_id=customer.id, number=f"LC-{customer.id.hex[-8:]}"))
