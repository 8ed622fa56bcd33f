"""restante.mx.tlsrpt: counts as a report (RFC 8460 §4.4, and the example of its appendix B)."""

from __future__ import annotations

from restante.mx.tlsrpt import PolicyShown, PolicyType, Row, TlsOutcome, day_of, report
from restante.net.stream import ResultType

DAY = "2016-04-01"
STS = PolicyShown(
    PolicyType.STS,
    "company-y.example",
    ("version: STSv1", "mode: testing", "mx: *.mail.company-y.example", "max_age: 86400"),
    ("*.mail.company-y.example",),
)


def row(outcome: TlsOutcome, sessions: int, policy: PolicyShown = STS) -> Row:
    """Of that day."""
    return Row(DAY, policy, outcome, sessions)


def test_the_example_of_the_rfc() -> None:
    """With its kinds of failure, but for what this host never tells."""
    mx1 = TlsOutcome(ResultType.EXPIRED, "mx1.mail.company-y.example", "2001:db8:abcd:12::1")
    mx2 = TlsOutcome(ResultType.NO_STARTTLS, "mx2.mail.company-y.example", "2001:db8:abcd:13::1", "203.0.113.56")
    other = TlsOutcome(ResultType.VALIDATION_FAILURE, reason="X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED")
    rows = [row(TlsOutcome(None, "mx1.mail.company-y.example"), 5326), row(mx1, 100), row(mx2, 200), row(other, 3)]
    assert report(rows, domain="company-y.example", day=DAY, hostname="company-x.example") == {
        "organization-name": "company-x.example",
        "date-range": {"start-datetime": "2016-04-01T00:00:00Z", "end-datetime": "2016-04-01T23:59:59Z"},
        "contact-info": "postmaster@company-x.example",
        "report-id": "2016-04-01_company-y.example@company-x.example",
        "policies": [
            {
                "policy": {
                    "policy-type": "sts",
                    "policy-string": STS.lines,
                    "policy-domain": "company-y.example",
                    "mx-host": STS.hosts,
                },
                "summary": {"total-successful-session-count": 5326, "total-failure-session-count": 303},
                "failure-details": [
                    {
                        "result-type": "certificate-expired",
                        "sending-mta-ip": "2001:db8:abcd:12::1",
                        "receiving-mx-hostname": "mx1.mail.company-y.example",
                        "failed-session-count": 100,
                    },
                    {
                        "result-type": "starttls-not-supported",
                        "sending-mta-ip": "2001:db8:abcd:13::1",
                        "receiving-mx-hostname": "mx2.mail.company-y.example",
                        "receiving-ip": "203.0.113.56",
                        "failed-session-count": 200,
                    },
                    {
                        "result-type": "validation-failure",
                        "failed-session-count": 3,
                        "failure-reason-code": "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED",
                    },
                ],
            }
        ],
    }


def test_each_policy_of_a_domain_by_itself() -> None:
    """As when it was changed that day, or was none before."""
    none = PolicyShown(PolicyType.NONE, "company-y.example")
    rows = [row(TlsOutcome(None), 1), row(TlsOutcome(None), 2, none), row(TlsOutcome(None, "mx1"), 4)]
    policies = report(rows, domain="company-y.example", day=DAY, hostname="company-x.example")["policies"]
    assert [each["summary"]["total-successful-session-count"] for each in policies] == [5, 2]
    assert policies[1]["policy"] == {"policy-type": "no-policy-found", "policy-domain": "company-y.example"}
    assert policies[1]["failure-details"] == []


def test_a_day_is_one_of_utc() -> None:
    """From midnight to midnight."""
    assert (day_of(1459468799.9), day_of(1459468800.0), day_of(1459555199.9)) == ("2016-03-31", DAY, DAY)
