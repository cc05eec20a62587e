"""The mail log, PostStack's events, and the suppressions that follow from them."""

import sqlalchemy as sa
from alembic import op

revision = "mail_0001"
down_revision = None

TIME = sa.DateTime(timezone=True)
"""`timestamptz` in PostgreSQL, text in SQLite."""


def upgrade() -> None:
    """Make the tables; a service that was made with 0.2.0 has `events` already."""
    op.create_table(
        "emails",
        sa.Column("idempotency_key", sa.Text, primary_key=True),
        sa.Column("email_id", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
    )
    op.create_index("emails_by_email_id", "emails", ["email_id"])
    op.create_index("emails_by_age", "emails", ["updated_at"])
    op.create_table(
        "events",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("email_id", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("time", TIME, nullable=False),
        if_not_exists=True,
    )
    op.create_index("events_of_email", "events", ["email_id"], if_not_exists=True)
    op.create_index("events_by_age", "events", ["time"])
    op.execute("DROP INDEX IF EXISTS suppressions")
    op.create_table(
        "suppressions",
        sa.Column("address", sa.Text, primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("email_id", sa.Text),
        sa.Column("since", TIME, nullable=False),
        sa.Column("removed_at", TIME),
    )
    op.execute("""
        INSERT INTO suppressions (address, reason, email_id, since)
        SELECT recipient,
            CASE type WHEN 'bounced' THEN 'hard_bounce' WHEN 'complained' THEN 'complaint'
                ELSE 'unsubscribe' END,
            email_id, time
        FROM events WHERE type IN ('bounced', 'complained', 'unsubscribed')
        ORDER BY time DESC
        ON CONFLICT (address) DO NOTHING
    """)


def downgrade() -> None:
    """Drop them, and what is in them."""
    for table in ("suppressions", "events", "emails"):
        op.drop_table(table)
