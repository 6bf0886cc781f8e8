"""rspamd's console log: `2026-11-22 19:43:02 [notice] #12(normal) <tag>; module; function: message`.

Fields: process, pid, tag, module, function; of a scanned message: message_id, exim_id (its
queue id), address, sender, user, verdict (spam, ham, skipped), action, score, required, size,
recipients, virus (where the scanner has found one), forced_by (the module that has decided, not the score).
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from entrypoint.logs.parsers.raw import level_of
from entrypoint.logs.parsers.raw import parse as parse_raw

_PREFIX = re.compile(
    r"(?P<daemon_time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) (?:\[(?P<severity>\w+)\] )?"
    r"#(?P<pid>[1-9]\d{0,9})\((?P<process>[^)]*)\) "
    r"(?:<(?P<tag>[^>]*)>; )?(?:(?P<module>[\w./-]+); )?(?:(?P<function>[\w.:/-]+): )?"
)
_FIELD = re.compile(
    r"(?:^|, )(?P<key>id|qid|ip|from|user|len|rcpts?): (?:<(?P<quoted>[^>]{0,1000})>|(?P<plain>[^\s,]*))"
)
_NAMES = {
    "id": "message_id",
    "qid": "exim_id",
    "ip": "address",
    "from": "sender",
    "len": "size",
    "rcpt": "recipients",
    "rcpts": "recipients",
}
_VERDICT = re.compile(
    r"\(\w+: (?P<verdict>[TFS]) \((?P<action>[^)]{0,100})\): \[(?P<score>-?[\d.]+)/(?:(?P<required>-?[\d.]+)|nan)\]"
)
_VIRUS = re.compile(r"[\[,]CLAM_VIRUS\([^)]{0,20}\)\{(?P<virus>[^;}]{1,200})")
_FORCED = re.compile(r" \(set by (?P<forced_by>[\w-]{1,50})\)$")
_VERDICTS = {"T": "spam", "F": "ham", "S": "skipped"}
_TROUBLE = re.compile(
    r"^(?:cannot|can't|failed|unable|error|got error)\b|\bfailed to\b|\bcannot (?:connect|open|load|read)\b",
    re.IGNORECASE,
)


def parse(line: str) -> dict[str, Any]:
    """What a line of rspamd's says."""
    found = _PREFIX.match(line)
    if not found:
        return parse_raw(line)
    message = line[found.end() :]
    fields: dict[str, Any] = {"event": message, "level": _level(found["severity"], message)}
    fields.update((k, v) for k, v in found.groupdict().items() if v)
    fields["pid"] = int(found["pid"])
    if found["function"] == "rspamd_task_write_log":
        _task(fields, message)
    return fields


def _level(severity: str | None, message: str) -> str:
    """The level: rspamd writes none by default, so its usual words for trouble count."""
    if severity:
        return level_of(f"{severity}:")
    return "warning" if _TROUBLE.search(message) else level_of(message)


def _task(fields: dict[str, Any], message: str) -> None:
    """The summary of one scanned message."""
    for found in _FIELD.finditer(message):
        value = found["plain"] if found["quoted"] is None else found["quoted"]
        fields.setdefault(_NAMES.get(found["key"], found["key"]), value)
    size = fields.pop("size", "")
    fields.update({"size": int(size)} if size.isdecimal() and len(size) < 16 else {})
    if "recipients" in fields:
        fields["recipients"] = fields["recipients"].split(",")
    verdict = _VERDICT.search(message)
    if verdict:
        _judge(fields, verdict)
        virus = _VIRUS.search(message, verdict.end())
        fields.update(virus.groupdict() if virus else {})
        forced = _FORCED.search(message, max(verdict.end(), len(message) - 80))
        fields.update(forced.groupdict() if forced else {})


def _judge(fields: dict[str, Any], verdict: re.Match[str]) -> None:
    fields["verdict"] = _VERDICTS[verdict["verdict"]]
    fields["action"] = verdict["action"]
    for name in ("score", "required"):
        with suppress(ValueError, TypeError):  # "nan", for which json has no word, is left out
            fields[name] = float(verdict[name])
