"""docker-mailserver: every variable that it has or had, and what it means here.

From its public documentation of the environment, version 15, and of older versions. Postfix, Dovecot and saslauthd
have placeholders of their own in LDAP filters: %s, %u and %d are not the same in all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import quote

from entrypoint.imports.findings import Outcome, Rule, none, taken, translated, you
from entrypoint.imports.ours import BY_NAME
from entrypoint.imports.source import Source, as_list

IMAGES = r"docker-mailserver"

# --- small rules


def same(name: str, because: str = "the same here") -> Rule:
    """The same name; where a release does not have it yet, no equal."""
    return lambda value, _source: taken(name, value, because) if name in BY_NAME else none("there is no equal here yet")


def later(name: str, because: str) -> Rule:
    """Of the same name as soon as there is one; until then, what there is instead."""
    return lambda value, _source: taken(name, value) if name in BY_NAME else none(f"no equal yet: {because}")


def called(name: str) -> Rule:
    """The same under another name."""
    return lambda value, _source: translated(f"it is called {name} here", **{name: value})


def always(because: str) -> Rule:
    """What is not a setting here."""
    return lambda _value, _source: none(because)


def done(because: str) -> Rule:
    """What this system does by itself, or with another variable."""
    return lambda _value, _source: translated(because)


def switch(on: Outcome, off: Outcome) -> Rule:
    """One outcome for a switch that is on, another one for off."""
    return lambda value, _source: on if value.lower() in {"1", "yes", "true", "on"} else off


# --- names and certificates


def host_name(value: str, source: Source) -> Outcome:
    """The full name of the mail server: the MX, and the domain without its first label."""
    label, _, domain = (source.host if "." in source.host else value).partition(".")
    if not domain:
        if label == "mail" and "domainname" in source.keys:
            return translated("mail.DOMAIN is the name of the MX by default")
        return you("the domain is not told: write DOMAIN yourself")
    sets = {"DOMAIN": source.domain or domain}
    if f"{label}.{domain}" != f"mail.{sets['DOMAIN']}":
        sets["EXIM_EXTERNAL_HOST"] = f"{label}.{domain}"
    return translated("the domain, of which all host names are made, and the name of the MX", **sets)


def domain_name(_value: str, source: Source) -> Outcome:
    domain = source.text("domainname")
    return translated("it is called DOMAIN here", DOMAIN=domain) if domain else you("no domain is told: write DOMAIN")


NAMES_NOTE = "the certificate must be for mail, imap, smtp, mailout and smarthost in the domain, or for *.DOMAIN"


def certificate(value: str, source: Source) -> Outcome:
    """Where the certificate is on the host."""
    kind = value.lower()
    if kind == "letsencrypt":
        folder = source.on_host("/etc/letsencrypt/live") or source.on_host("/etc/letsencrypt") + "/live"
        name = source.get("SSL_DOMAIN").removeprefix("*.") or (source.host if "." in source.host else "NAME")
        files = {
            "TLS_FULLCHAIN_FILE": f"{folder}/{name}/fullchain.pem",
            "TLS_PRIVKEY_FILE": f"{folder}/{name}/privkey.pem",
        }
        if folder == "/live" or name == "NAME":
            return you(f"say where the certificate is on the host; {NAMES_NOTE}", **files)
        return translated(f"the files on the host; {NAMES_NOTE}", **files)
    if kind == "manual":
        paths = {"TLS_FULLCHAIN_FILE": "SSL_CERT_PATH", "TLS_PRIVKEY_FILE": "SSL_KEY_PATH"}
        files = {ours: source.on_host(source.get(theirs)) for ours, theirs in paths.items()}
        if all(files.values()):
            return translated(f"the files on the host; {NAMES_NOTE}", **files)
    return you(f"set TLS_FULLCHAIN_FILE and TLS_PRIVKEY_FILE to files on the host; {NAMES_NOTE}")


def tls_level(value: str, _source: Source) -> Outcome:
    note = "; stricter here: members' programs need TLS 1.3" if value.lower() == "modern" else ""
    return taken("TLS_LEVEL", value, f"the same here{note}")


# --- sizes and spam


def message_size(value: str, _source: Source) -> Outcome:
    if value.strip("0") == "":
        return translated("no limit there; the largest is 1G here", MESSAGE_SIZE_LIMIT="1G")
    return translated("one limit for all services, called MESSAGE_SIZE_LIMIT here", MESSAGE_SIZE_LIMIT=value)


def kill(value: str, source: Source) -> Outcome:
    """What was quarantined or bounced is refused here, so it has to be well above what is only marked."""
    if source.get("SPAMASSASSIN_SPAM_TO_INBOX") == "1":
        return none("nothing was refused there; here rspamd's score counts, and 15 is refused (SA_KILL)")
    try:
        low = float(value) <= float(source.get("SA_TAG2") or 6.31)
    except ValueError:
        low = False
    if low:
        return translated("that would refuse all that is to be marked: rspamd's usual 15 instead", SA_KILL="15")
    return taken("SA_KILL", value, "mail with this score is refused while it is sent; the scores are rspamd's")


def subject(value: str, _source: Source) -> Outcome:
    text = value.strip()
    if text.lower() == "undef":
        return none("no text was put before the subject there, nor is here")
    return translated("the space behind it comes by itself", SA_SPAM_SUBJECT=text)


def greylisting(value: str, source: Source) -> Outcome:
    if source.get("ENABLE_POSTGREY"):
        return none("ENABLE_POSTGREY says it")
    return translated("it is called ENABLE_POSTGREY here", ENABLE_POSTGREY=value)


# --- ways out


def relay_host(value: str, source: Source) -> Outcome:
    port = source.get("RELAY_PORT") or "25"
    return translated(
        "called DEFAULT_RELAY_HOST here; its certificate is verified", DEFAULT_RELAY_HOST=f"{value.strip('[]')}:{port}"
    )


def default_relay(value: str, _source: Source) -> Outcome:
    place = value if re.search(r":[0-9]+$", value) else f"{value}:25"
    return translated("port 25 is written out; its certificate is verified", DEFAULT_RELAY_HOST=place)


def ses_host(value: str, source: Source) -> Outcome:
    place = f"{value}:{source.get('AWS_SES_PORT') or '25'}"
    return translated("called DEFAULT_RELAY_HOST here", DEFAULT_RELAY_HOST=place)


def logins(source: Source) -> str:
    """All logins at relays, a line each."""
    host = (source.get("RELAY_HOST") or source.get("DEFAULT_RELAY_HOST")).partition(":")[0].strip("[]")
    lines = re.split(r"\r?\n|\\n", source.get("SASL_PASSWD"))
    if host and source.get("RELAY_USER") and source.get("RELAY_PASSWORD"):
        lines.append(f"{host} {source.get('RELAY_USER')}:{source.get('RELAY_PASSWORD')}")
    if source.get("AWS_SES_HOST") and source.get("AWS_SES_USERPASS"):
        lines.append(f"{source.get('AWS_SES_HOST')} {source.get('AWS_SES_USERPASS')}")
    return "\n".join(" ".join(line.split(maxsplit=1)) for line in lines if line.strip())


def login(*needed: str) -> Rule:
    """One of the variables that make logins."""

    def rule(_value: str, source: Source) -> Outcome:
        missing = [name for name in needed if not source.get(*name.split("|"))]
        if missing:
            return you(f"a login needs {' and '.join(missing).replace('|', ' or ')} as well: write RELAY_LOGINS")
        return translated("RELAY_LOGINS has the login: host user:password", RELAY_LOGINS=logins(source))

    return rule


# --- the directory


def with_ldap(source: Source) -> bool:
    """Whether accounts came from LDAP."""
    chosen = source.get("ACCOUNT_PROVISIONER").upper()
    if chosen:
        return chosen == "LDAP"
    return source.on("ENABLE_LDAP") or not (source.get("ENABLE_LDAP") or not source.get("LDAP_SERVER_HOST"))


def ldap(rule: Rule) -> Rule:
    """A rule that counts where accounts came from LDAP."""
    unused = none("it had no effect there: accounts did not come from LDAP")
    return lambda value, source: rule(value, source) if with_ldap(source) else unused


def put(value: str, names: Mapping[str, str]) -> str:
    """The filter with our placeholders; ValueError for one that has none here."""

    def one(match: re.Match[str]) -> str:
        if match[0] not in names:
            raise ValueError(f"{match[0]} has no equal here")
        return names[match[0]]

    return re.sub(r"%\{[^}]*\}|%.?", one, value)


POSTFIX = {"%s": "$local_part@$domain", "%u": "$local_part", "%d": "$domain", "%%": "%"}
DOVECOT = {"%u": "%u", "%n": "%n", "%d": "%d", "%Lu": "%u", "%{user}": "%u", "%{user | username}": "%n"}
DOVECOT |= {"%{user|username}": "%n", "%{user | domain}": "%d", "%{user|domain}": "%d", "%L": ""}
NOBODY = re.compile(r"\(\|\)|")


def recipients(_value: str, source: Source) -> Outcome:
    """Who gets mail: those that the filter for users finds, and that for aliases."""
    users, aliases = source.get("LDAP_QUERY_FILTER_USER"), source.get("LDAP_QUERY_FILTER_ALIAS")
    found = [each for each in (users, aliases) if not NOBODY.fullmatch(each)]
    sets = {}
    try:
        filters = [put(each, POSTFIX) for each in found]
    except ValueError as error:
        return you(f"write EXIM_LDAP_USER_FILTER yourself: {error}")
    if not filters:
        return none("it found nobody")
    sets["EXIM_LDAP_USER_FILTER"] = filters[0] if len(filters) == 1 else f"(|{''.join(filters)})"
    for variable, text in (("LDAP_MAIL_ATTRIBUTE", users), ("LDAP_ALIAS_ATTRIBUTE", aliases)):
        if match := re.search(r"\(\s*([A-Za-z][A-Za-z0-9-]*)\s*=\s*%s\s*\)", text):
            sets[variable] = match[1]
    return translated("users and aliases are one filter here, and the names of the two attributes", **sets)


def dovecot_filter(*names: str) -> Rule:
    """A filter of Dovecot's."""

    def rule(value: str, source: Source) -> Outcome:
        wanted = [name for name in names if name == names[0] or not source.get(*_PASS_FILTERS)]
        try:
            text = put(value.replace("%L", "%"), DOVECOT)
        except ValueError as error:
            return you(f"write {' and '.join(wanted)} yourself: {error}")
        return translated(f"called {' and '.join(wanted)} here", **dict.fromkeys(wanted, text))

    return rule


_PASS_FILTERS = ("DOVECOT_PASS_FILTER", "DOVECOT_PASSDB_LDAP_FILTER")


def sasl_filter(value: str, _source: Source) -> Outcome:
    """Who may log in to send: the whole login name is all that there is here."""
    sets = {}
    for name, variable in (("EXIM_INT_MAILOUT_LDAP_AUTH", "auth1"), ("EXIM_INT_MAILOUT_LDAP_PLAIN", "auth2")):
        mark = f"${{quote_ldap:${variable}}}"
        try:
            parts = put(value, {"%u": "\0", "%%": "%"}).split("\0")
        except ValueError as error:
            return you(f"people log in with their whole address here, and {error}: write {name} yourself")
        sets[name] = "ldap:///??sub?" + mark.join(quote(part, safe="()=&|!*<>~,:@/+ ") for part in parts)
    return translated("one filter for each way to log in; the base is LDAP_BASE", **sets)


def authority(value: str, source: Source) -> Outcome:
    if there := source.on_host(value):
        return translated("the directory's authorities", TLS_CA_FILE=there, LDAP_CA="/run/secrets/ca")
    return you("set TLS_CA_FILE to the file on the host, and LDAP_CA=/run/secrets/ca", LDAP_CA="/run/secrets/ca")


# --- all variables


NO_LOGS = "nothing to rotate: all logs are on stderr, and Docker keeps them (docker compose logs)"
NO_SUMMARY = "no equal yet: there is no summary by mail; metrics and `entrypoint trace` are what there is"
RSPAMD = "rspamd does that here, with its own rules and scores"
NO_SRS = "forwarding from the directory is not there yet, so there is nothing to rewrite"
FETCH = (
    "COMPOSE_PROFILES starts fetchmail here, and the file has one line for each mailbox: see docs/how-to/fetchmail.md"
)
NO_BAN = "no equal yet: there is no fail2ban here; failed logins are in the log, with addresses"
IPV4 = "the container network has IPv4 alone"
BINDS = "Exim and Dovecot log in to the directory as the person (bind); no password is read and compared"
TLS_ALWAYS = "TLS is always on for the directory (STARTTLS, or ldaps:// in LDAP_HOSTS), and its certificate is verified"
NO_GATEWAY = (
    "the gateway is never trusted here: programs that sent without a login log in, or EXIM_RELAY_HOSTS names their host"
)


# --- mail of other providers

FETCHED = {"COMPOSE_PROFILES": "local,global,fetchmail", "FETCHMAIL_ACCOUNTS_FILE": "./secrets/fetchmail-accounts"}
fetching = switch(you(FETCH, **FETCHED), translated("off, unless COMPOSE_PROFILES names fetchmail"))


def getmail_poll(value: str, _source: Source) -> Outcome:
    """Minutes there."""
    seconds = str(max(30, int(value) * 60)) if value.isdecimal() else "300"
    return translated("called FETCHMAIL_POLL here, in seconds", FETCHMAIL_POLL=seconds)


ONE_USER = "folders are made of the primary address, all of one user; LDAP_QUOTA_ATTRIBUTE is the quota"
NO_TOKENS = "no equal: people log in with the directory's passwords"

KNOWN: Mapping[str, Rule] = {
    # General
    "OVERRIDE_HOSTNAME": host_name,
    "HOSTNAME": host_name,
    "DOMAINNAME": lambda value, _source: translated("it is called DOMAIN here", DOMAIN=value),
    "CONTAINER_NAME": always("containers are named by Compose"),
    "TZ": same("TZ"),
    "POSTMASTER_ADDRESS": same("POSTMASTER_ADDRESS"),
    "LOG_LEVEL": lambda value, _source: translated(
        "our levels are debug, info, warning, error", LOG_LEVEL={"warn": "warning", "trace": "debug"}.get(value, value)
    ),
    "DMS_DEBUG": switch(
        translated("it is a log level here", LOG_LEVEL="debug"), translated("LOG_LEVEL is info by default")
    ),
    "SUPERVISOR_LOGLEVEL": always("LOG_LEVEL counts for the supervisor, too"),
    "DMS_VMAIL_UID": called("vmail_uid"),
    "DMS_VMAIL_GID": called("vmail_gid"),
    "DMS_CONFIG_POLL": always("changed certificates and secrets are noticed within seconds"),
    "ONE_DIR": always("each service has a folder of its own for what it has to keep"),
    "NETWORK_INTERFACE": always("the addresses of the container network are settings (IMAP_IP and its like)"),
    "ENABLE_UPDATE_CHECK": always("images are updated by `git pull && make images`; nobody is asked"),
    "UPDATE_CHECK_INTERVAL": always("images are updated by `git pull && make images`; nobody is asked"),
    "PERMIT_DOCKER": lambda value, _source: (
        none("nobody is trusted by address here either, unless EXIM_WHITELIST_NET or EXIM_RELAY_HOSTS name them")
        if value.lower() in {"none", "container"}
        else you(NO_GATEWAY)
    ),
    "ACCOUNT_PROVISIONER": lambda value, _source: _accounts(value.upper() == "LDAP"),
    "ENABLE_LDAP": lambda value, _source: _accounts(value.lower() in {"1", "yes", "true"}),
    "SMTP_ONLY": later("SMTP_ONLY", "COMPOSE_PROFILES=global starts the smarthost alone"),
    # Names and TLS
    "SSL_TYPE": certificate,
    "DMS_SSL": certificate,
    "SSL_DOMAIN": done("it is part of TLS_FULLCHAIN_FILE and TLS_PRIVKEY_FILE"),
    "SSL_CERT_PATH": done("TLS_FULLCHAIN_FILE is the path on the host"),
    "SSL_KEY_PATH": done("TLS_PRIVKEY_FILE is the path on the host"),
    "SSL_ALT_CERT_PATH": always("there is one certificate"),
    "SSL_ALT_KEY_PATH": always("there is one certificate"),
    "TLS_LEVEL": tls_level,
    # Services
    "ENABLE_IMAP": switch(translated("imap is always there"), you("imap is always there: close its ports")),
    "ENABLE_POP3": same("ENABLE_POP3"),
    "ENABLE_MANAGESIEVE": same("ENABLE_MANAGESIEVE"),
    "ENABLE_CLAMAV": same("ENABLE_CLAMAV"),
    "CLAMAV_MESSAGE_SIZE_LIMIT": always("MESSAGE_SIZE_LIMIT counts for the scanner, too"),
    "ENABLE_FAIL2BAN": switch(none(NO_BAN), none("off there, and there is none here yet")),
    "FAIL2BAN_BLOCKTYPE": always(NO_BAN),
    "ENABLE_FETCHMAIL": fetching,
    "FETCHMAIL_POLL": same("FETCHMAIL_POLL"),
    "FETCHMAIL_PARALLEL": done("mailboxes are fetched side by side, and a slow one holds up no other"),
    "ENABLE_GETMAIL": fetching,
    "GETMAIL_POLL": getmail_poll,
    "ENABLE_ELK_FORWARDER": switch(
        translated("lines for programs are on stderr; ship them with what reads Docker's logs", LOG_FORMAT="json"),
        translated("LOG_FORMAT=json is what a collector would read"),
    ),
    "ELK_HOST": always("nothing is sent; a collector reads Docker's logs"),
    "ELK_PORT": always("nothing is sent; a collector reads Docker's logs"),
    # Mailboxes
    "DOVECOT_MAILBOX_FORMAT": same("DOVECOT_MAILBOX_FORMAT"),
    "DOVECOT_INET_PROTOCOLS": always(IPV4),
    "POSTFIX_MAILBOX_SIZE_LIMIT": called("MAILBOX_SIZE_LIMIT"),
    "ENABLE_QUOTAS": switch(
        translated("quota is always counted; MAILBOX_SIZE_LIMIT is the default, the directory has the single ones"),
        translated("no limit by default", MAILBOX_SIZE_LIMIT="0"),
    ),
    # Postfix
    "POSTFIX_MESSAGE_SIZE_LIMIT": message_size,
    "POSTFIX_DAGENT": always("Exim delivers to imap by LMTP; there is no other place to deliver to"),
    "ENABLE_POSTFIX_VIRTUAL_TRANSPORT": always("Exim delivers to imap by LMTP; there is no other place to deliver to"),
    "POSTFIX_INET_PROTOCOLS": always(IPV4),
    "POSTFIX_REJECT_UNKNOWN_CLIENT_HOSTNAME": always(f"{RSPAMD}: an unknown host name only adds to the score"),
    "SPOOF_PROTECTION": same("SPOOF_PROTECTION", "a member sends only from the own addresses"),
    "POSTSCREEN_ACTION": later("POSTSCREEN_ACTION", "rspamd weighs who connects and how"),
    "ENABLE_DNSBL": called("RSPAM_DNS_LISTS"),
    "ENABLE_MTA_STS": later("ENABLE_MTA_STS", "TLS is used where the other side offers it"),
    "ENABLE_POLICYD_SPF": always(RSPAMD),
    "ENABLE_OPENDMARC": always(RSPAMD),
    "ENABLE_OPENDKIM": switch(
        you(
            "to sign, take the key and its selector with you, or make new ones (docs/how-to/dkim.md)",
            EXIM_DKIM_SELECTOR="mail",
        ),
        translated("without EXIM_DKIM_SELECTOR nothing is signed"),
    ),
    # Spam and viruses
    "ENABLE_AMAVIS": always(RSPAMD),
    "AMAVIS_LOGLEVEL": always(RSPAMD),
    "VIRUSMAILS_DELETE_DELAY": always("mail with a virus is refused while it is sent: nothing is kept"),
    "ENABLE_SPAMASSASSIN": switch(
        translated(f"{RSPAMD}, always"), none("rspamd is always there; SA_KILL says how strict")
    ),
    "ENABLE_SPAMASSASSIN_KAM": always(RSPAMD),
    "SPAMASSASSIN_SPAM_TO_INBOX": always("from SA_TAG2 on mail goes to Junk, from SA_KILL on it is refused"),
    "MOVE_SPAM_TO_JUNK": switch(translated("marked mail goes to Junk"), none("marked mail always goes to Junk")),
    "MARK_SPAM_AS_READ": always("mail in Junk is unread, like all new mail"),
    "SA_TAG": same("SA_TAG", "the scores are rspamd's, which are not the same as SpamAssassin's"),
    "SA_TAG2": same("SA_TAG2", "the scores are rspamd's, which are not the same as SpamAssassin's"),
    "SA_KILL": kill,
    "SA_SPAM_SUBJECT": subject,
    "SPAM_SUBJECT": subject,
    "SA_SHORTCIRCUIT_BAYES_SPAM": always(RSPAMD),
    "SA_SHORTCIRCUIT_BAYES_HAM": always(RSPAMD),
    "ENABLE_RSPAMD": switch(
        translated("rspamd is always there"), translated("rspamd is always there, in place of SpamAssassin")
    ),
    "ENABLE_RSPAMD_REDIS": done("the service mail-redis is for that"),
    "ENABLE_REDIS": done("the service mail-redis is for that"),
    "RSPAMD_CHECK_AUTHENTICATED": always("mail of members is scanned too, and refused only from SA_KILL on"),
    "RSPAMD_GREYLISTING": greylisting,
    "RSPAMD_LEARN": later("RSPAMD_LEARN", "what members move to Junk teaches nothing yet; the console can"),
    "RSPAMD_HFILTER": always(RSPAMD),
    "RSPAMD_HFILTER_HOSTNAME_UNKNOWN_SCORE": always(RSPAMD),
    "RSPAMD_NEURAL": always("off here, as it is there by default"),
    "ENABLE_POSTGREY": same("ENABLE_POSTGREY", "rspamd greylists, and only doubtful mail"),
    "POSTGREY_DELAY": same("POSTGREY_DELAY"),
    "POSTGREY_MAX_AGE": same("POSTGREY_MAX_AGE"),
    "POSTGREY_TEXT": same("POSTGREY_TEXT"),
    "POSTGREY_AUTO_WHITELIST_CLIENTS": later(
        "POSTGREY_AUTO_WHITELIST_CLIENTS", "who came once is known for POSTGREY_MAX_AGE"
    ),
    # Forwarding
    "ENABLE_SRS": later("ENABLE_SRS", NO_SRS),
    "SRS_SENDER_CLASSES": later("SRS_SENDER_CLASSES", NO_SRS),
    "SRS_EXCLUDE_DOMAINS": later("SRS_EXCLUDE_DOMAINS", NO_SRS),
    "SRS_SECRET": later("SRS_SECRET", NO_SRS),
    "SRS_DOMAINNAME": later("SRS_DOMAINNAME", NO_SRS),
    # Reports
    "PFLOGSUMM_TRIGGER": always(NO_SUMMARY),
    "PFLOGSUMM_RECIPIENT": always(NO_SUMMARY),
    "PFLOGSUMM_SENDER": always(NO_SUMMARY),
    "LOGWATCH_INTERVAL": always(NO_SUMMARY),
    "LOGWATCH_RECIPIENT": always(NO_SUMMARY),
    "LOGWATCH_SENDER": always(NO_SUMMARY),
    "REPORT_RECIPIENT": always(NO_SUMMARY),
    "REPORT_SENDER": always(NO_SUMMARY),
    "REPORT_INTERVAL": always(NO_SUMMARY),
    "LOGROTATE_INTERVAL": always(NO_LOGS),
    "LOGROTATE_COUNT": always(NO_LOGS),
    # Relays
    "DEFAULT_RELAY_HOST": default_relay,
    "RELAY_HOST": relay_host,
    "RELAY_PORT": done("it is part of DEFAULT_RELAY_HOST"),
    "RELAY_USER": login("RELAY_HOST|DEFAULT_RELAY_HOST", "RELAY_PASSWORD"),
    "RELAY_PASSWORD": login("RELAY_HOST|DEFAULT_RELAY_HOST", "RELAY_USER"),
    "SASL_PASSWD": login(),
    "AWS_SES_HOST": ses_host,
    "AWS_SES_PORT": done("it is part of DEFAULT_RELAY_HOST"),
    "AWS_SES_USERPASS": login("AWS_SES_HOST"),
    # Other ways to log in
    "ENABLE_OAUTH2": always(NO_TOKENS),
    "OAUTH2_INTROSPECTION_URL": always(NO_TOKENS),
    "ENABLE_SASLAUTHD": done(BINDS),
    "SASLAUTHD_MECHANISMS": done(BINDS),
    "SASLAUTHD_MECH_OPTIONS": done(BINDS),
    "SASLAUTHD_LDAP_AUTH_METHOD": done(BINDS),
    "SASLAUTHD_LDAP_MECH": done(BINDS),
    "SASLAUTHD_LDAP_PASSWORD_ATTR": done(BINDS),
    "DOVECOT_AUTH_BIND": done(BINDS),
    "DOVECOT_DEFAULT_PASS_SCHEME": done(BINDS),
    # The directory
    "LDAP_SERVER_HOST": ldap(called("LDAP_HOSTS")),
    "DOVECOT_URIS": ldap(called("LDAP_HOSTS")),
    "DOVECOT_HOSTS": ldap(called("LDAP_HOSTS")),
    "SASLAUTHD_LDAP_SERVER": ldap(called("LDAP_HOSTS")),
    "LDAP_SEARCH_BASE": ldap(called("LDAP_BASE")),
    "DOVECOT_BASE": ldap(called("LDAP_BASE")),
    "SASLAUTHD_LDAP_SEARCH_BASE": ldap(called("LDAP_BASE")),
    "LDAP_BIND_DN": ldap(called("LDAP_USER")),
    "DOVECOT_DN": ldap(called("LDAP_USER")),
    "SASLAUTHD_LDAP_BIND_DN": ldap(called("LDAP_USER")),
    "LDAP_BIND_PW": ldap(called("LDAP_PASSWORD")),
    "DOVECOT_DNPASS": ldap(called("LDAP_PASSWORD")),
    "SASLAUTHD_LDAP_PASSWORD": ldap(called("LDAP_PASSWORD")),
    "LDAP_QUERY_FILTER_USER": ldap(recipients),
    "LDAP_QUERY_FILTER_ALIAS": ldap(recipients),
    "LDAP_QUERY_FILTER_GROUP": ldap(always("no equal yet: an address stands for one member, not for a group")),
    "LDAP_QUERY_FILTER_DOMAIN": ldap(always("EXIM_LOCAL_DOMAINS names the domains")),
    "LDAP_QUERY_FILTER_SENDERS": ldap(
        always("own addresses are those in LDAP_MAIL_ATTRIBUTE and LDAP_ALIAS_ATTRIBUTE (SPOOF_PROTECTION)")
    ),
    "DOVECOT_USER_FILTER": ldap(dovecot_filter("LDAP_USER_FILTER", "LDAP_PASS_FILTER")),
    "DOVECOT_USERDB_LDAP_FILTER": ldap(dovecot_filter("LDAP_USER_FILTER", "LDAP_PASS_FILTER")),
    "DOVECOT_PASS_FILTER": ldap(dovecot_filter("LDAP_PASS_FILTER")),
    "DOVECOT_PASSDB_LDAP_FILTER": ldap(dovecot_filter("LDAP_PASS_FILTER")),
    "SASLAUTHD_LDAP_FILTER": ldap(sasl_filter),
    "DOVECOT_USER_ATTRS": ldap(always(ONE_USER)),
    "DOVECOT_USER_ATTR": ldap(always(ONE_USER)),
    "DOVECOT_PASS_ATTRS": ldap(done(BINDS)),
    "DOVECOT_PASS_ATTR": ldap(done(BINDS)),
    "DOVECOT_LDAP_VERSION": ldap(always("version 3 of LDAP is spoken")),
    "LDAP_START_TLS": ldap(done(TLS_ALWAYS)),
    "DOVECOT_TLS": ldap(done(TLS_ALWAYS)),
    "SASLAUTHD_LDAP_SSL": ldap(done(TLS_ALWAYS)),
    "SASLAUTHD_LDAP_START_TLS": ldap(done(TLS_ALWAYS)),
    "SASLAUTHD_LDAP_TLS_CHECK_PEER": ldap(done(TLS_ALWAYS)),
    "SASLAUTHD_LDAP_TLS_CACERT_FILE": ldap(authority),
    "SASLAUTHD_LDAP_TLS_CACERT_DIR": ldap(always("TLS_CA_FILE names one file, for LDAP_CA=/run/secrets/ca")),
}


def _accounts(from_ldap: bool) -> Outcome:  # it is a fact, not a mode
    if from_ldap:
        return translated("people always come from the directory")
    return you("people come from a directory here (LDAP_HOSTS and its like), not from files of accounts")


# --- what else the service has in its compose file

MAIL_NOTE = (
    "mailboxes were DOMAIN/NAME there and are DOMAIN/NAME/Maildir here: copy them, and say where VMAIL_DATA is "
    "(docs/how-to/from-docker-mailserver.md)"
)
MOUNTS: Mapping[str, Callable[[str], Outcome]] = {
    "/var/mail": lambda there: you(MAIL_NOTE, VMAIL_DATA=f"{there.rstrip('/')}-postern" if there else ""),
    "/var/mail-state": lambda _there: none("the state of its programs; let its queue run empty first"),
    "/var/log/mail": lambda _there: none(NO_LOGS),
    "/tmp/docker-mailserver": lambda _there: you(  # noqa: S108  # theirs
        "accounts, aliases and DKIM keys of files: members come from the directory; for the key see docs/how-to/dkim.md"
    ),
    "/etc/letsencrypt": lambda _there: translated("TLS_FULLCHAIN_FILE and TLS_PRIVKEY_FILE are files on the host"),
    "/etc/localtime": lambda _there: none("TZ says the time zone"),
    "/etc/timezone": lambda _there: none("TZ says the time zone"),
}

PORTS = {25: "SMTP_PORT", 465: "SUBMISSIONS_PORT", 587: "SUBMISSION_PORT", 143: "IMAP_PORT", 993: "IMAPS_PORT"}
PORTS |= {4190: "MANAGESIEVE_PORT"}


def ports(value: str, source: Source) -> Outcome:
    """Where the host listens; what was not published stays on this machine."""
    try:
        published = {port.target: port.published for port in source.ports()}
    except ValueError as error:
        return you(f"write SMTP_PORT and its like yourself: {error}")
    sets = {PORTS[target]: where for target, where in published.items() if target in PORTS and where}
    sets |= {name: f"127.0.0.1:{target}" for target, name in PORTS.items() if target not in published}
    others = [str(target) for target in published if target not in PORTS]
    note = f"; {', '.join(others)} is published in a docker-compose.override.yaml if it is needed" if others else ""
    del value
    return translated(f"one variable each; what was not published is for this machine only{note}", **sets)


def hosts(_value: str, source: Source) -> Outcome:
    pairs = [re.split(r"[=:]", str(each), maxsplit=1) for each in as_list(source.keys.get("extra_hosts"))]
    return translated("mail-dnsmasq knows them", DNS_HOSTS=" ".join("=".join(pair).strip() for pair in pairs))


def nameservers(_value: str, source: Source) -> Outcome:
    servers = " ".join(map(str, as_list(source.keys.get("dns"))))
    return translated("mail-dnsmasq asks them", DNS_UPSTREAM=servers)


# What a service of a compose file has, and ours have in their own way.
_OURS = [
    "cap_drop",
    "container_name",
    "depends_on",
    "deploy",
    "expose",
    "extends",
    "init",
    "links",
    "logging",
    "mem_limit",
    "network_mode",
    "networks",
    "platform",
    "privileged",
    "profiles",
    "pull_policy",
    "read_only",
    "security_opt",
    "stdin_open",
    "sysctls",
    "tmpfs",
    "tty",
    "ulimits",
    "user",
]
KEYS: Mapping[str, Rule] = {
    "hostname": host_name,
    "domainname": domain_name,
    "ports": ports,
    "extra_hosts": hosts,
    "dns": nameservers,
    "env_file": done("its variables are told one by one"),
    "image": always("the images here are our own (make images)"),
    "build": always("the images here are our own (make images)"),
    "cap_add": always("no container has a capability"),
    "stop_grace_period": done("1 minute here, too; a stop takes seconds"),
    "restart": done("unless-stopped, for all services"),
    "healthcheck": done("each service has one"),
    **dict.fromkeys(_OURS, always("docker-compose.yaml says it for each service here")),
    "labels": always("for other programs: write them into a docker-compose.override.yaml"),
    "secrets": always("secrets are files named by NAME_FILE variables"),
    "configs": always("configuration is rendered from variables"),
}


def mount(there: str, here: str) -> Outcome:
    """What a volume is here."""
    for place, outcome in MOUNTS.items():
        if here == place or here.startswith(f"{place}/"):
            return outcome(there)
    return you("not known: look what it was for")


def unknown(_value: str, _source: Source) -> Outcome:
    """A name that nobody here knows."""
    return you("not known: look it up")
