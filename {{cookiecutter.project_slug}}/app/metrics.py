"""The service's counters for Prometheus; `GET /metrics` shows those of its own process."""

from prometheus_client import Counter, Histogram

ACCEPTED = Counter("mail_accepted", "Messages that PostStack has accepted.")
RETRIED = Counter("mail_retried", "Attempts of a worker that failed and will be repeated.")
SKIPPED = Counter("mail_skipped", "Messages not sent because their recipient is suppressed.")
REFUSED = Counter("mail_refused", "Messages that PostStack has refused for good.")
FAILED = Counter("mail_failed", "Messages given up while no caller waited for the outcome.")
SECONDS = Histogram(
    "mail_acceptance_seconds",
    "Seconds from the service's acceptance of a message to PostStack's.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600),
)
