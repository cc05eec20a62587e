"""The users of `POST /signup`, and how often somebody signed up for a mailbox."""

import sqlalchemy as sa
from alembic import op

revision = "signup_0001"
down_revision = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables; a service that was made with 0.2.0 has `users` already."""
    op.create_table(
        "users",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("normalized", sa.Text, nullable=False, unique=True),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", TIME, nullable=False, server_default=sa.func.current_timestamp()),
        if_not_exists=True,
    )
    op.create_table(
        "signup_windows",
        sa.Column("mailbox", sa.Text, primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("ends_at", TIME, nullable=False),
    )


def downgrade() -> None:
    """Drop them, and who is in them."""
    op.drop_table("signup_windows")
    op.drop_table("users")
