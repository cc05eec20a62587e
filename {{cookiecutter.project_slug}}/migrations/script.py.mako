<% table = up_revision.rpartition("_")[0] %>\
"""${message}."""

import sqlalchemy as sa
from alembic import op

revision = "${up_revision}"
down_revision = ${repr(down_revision).replace("'", '"')}


def upgrade() -> None:
% if down_revision:
    """Add a column."""
    op.add_column("${table}", sa.Column("name", sa.Text))
% else:
    """Make the table."""
    op.create_table("${table}", sa.Column("id", sa.Text, primary_key=True))
% endif


def downgrade() -> None:
% if down_revision:
    """Drop it, and what is in it."""
    op.drop_column("${table}", "name")
% else:
    """Drop it, and what is in it."""
    op.drop_table("${table}")
% endif
