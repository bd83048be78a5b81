"""What the doctor finds: one row of its table each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Finding:
    """`state`: ok, warning or error. `advice` is empty if the state is ok. `figures`: the measured
    values behind `detail`, for machines; in JSON only."""

    check: str
    state: str
    detail: str
    advice: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        row: dict[str, object] = {
            "check": self.check,
            "state": self.state,
            "detail": self.detail,
            "advice": self.advice,
        }
        return row | {"figures": dict(self.figures)} if self.figures else row


def table(findings: Iterable[Finding]) -> str:
    lines = []
    rows = list(findings)
    width = max([17, *(len(row.check) for row in rows)]) + 1
    for finding in rows:
        lines.append(f"{finding.state:8}{finding.check:{width}}{finding.detail}")
        if finding.advice:
            lines.append(f"{'':{width + 8}}→ {finding.advice}")
    return "\n".join(lines)


def exit_code(findings: Iterable[Finding]) -> int:
    return 1 if any(finding.state == "error" for finding in findings) else 0
