"""Access: who acts, what they may do, and which rows they may see."""

from rapport.access.actors import Actor, system
from rapport.access.model import Membership, Role, Team, Token, User, UserRole
from rapport.access.scopes import row_scope

__all__ = ["Actor", "Membership", "Role", "Team", "Token", "User", "UserRole", "row_scope", "system"]
