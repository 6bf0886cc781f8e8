"""Every variable of the system, one class a concern: name, type, default, meaning, example.

Field names are the names in templates, and in upper case the variables. A service inherits from the
concerns that it needs (entrypoint/services); nothing else decides what reaches it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_network

from entrypoint.settings import kinds
from entrypoint.settings.kinds import Address, Network
from entrypoint.settings.ldap_filters import (
    LdapSearch,
    Pattern,
    dovecot_pattern,
    exim_pattern,
    in_filter,
    in_url,
    login_search,
)
from entrypoint.settings.mailboxes import Mailbox, mailboxes
from entrypoint.settings.relays import Relay, RelayLogin, relay, relay_logins, relay_map
from entrypoint.settings.schema import Like, Secret, concern, short, var

SYSTEM_CA = "/etc/ssl/certs/ca-certificates.crt"
# Where passwords that are made at the first start are kept: on a volume of mail-redis and rspam, and on rspam's own.
SHARED_PASSWORDS = "/var/lib/passwords"
CONSOLE_PASSWORDS = "/var/lib/rspamd"
# Where docker-compose.yaml puts LDAP_MEMBERS_FILE.
MEMBERS = "/etc/postern/members.ldif"
FRESHCLAM_OFFICIAL = "database.clamav.net"
OFF = "no"
ON = "yes"

# Shorter prefixes of networks that may relay hold strangers for sure.
_WIDEST = {4: 8, 6: 16}


@concern
class Common:
    """What every service is told."""

    domain: str = var(
        kinds.domain,
        "domain of the organisation; host names are made from it",
        example="example.org",
    )
    tz: str = var(
        kinds.time_zone, "time zone of log lines and dates", default="UTC", example="Europe/Berlin", old=("TIMEZONE",)
    )
    log_format: str = var(
        kinds.choice("console", "json"),
        "console: lines for people; json: one object a line for programs",
        default="console",
    )
    log_level: str = var(
        kinds.choice("debug", "info", "warning", "error"),
        "least level of the lines that are logged",
        default="info",
    )
    wait_s: int = var(
        kinds.integer(1, 3600),
        "seconds to wait for a needed service before giving up with code 69",
        default="120",
        example="300",
    )
    deaths_limit: int = var(
        kinds.integer(1, 1000),
        "deaths of a daemon within a minute that end the container, with the daemon's own exit code",
        default="5",
    )
    metrics_port: int = var(
        kinds.integer(0, 65535),
        "port in each container that answers GET /metrics, for Prometheus in the same network; 0: none",
        default="0",
        example="9466",
    )
    look_s: int = var(
        kinds.integer(1, 3600),
        "seconds between two looks at needed services, queue, room and the like; who has not answered for three "
        "times as long makes a service unhealthy",
        default="30",
    )


@concern
class RedisPlace:
    """Where mail-redis is."""

    redis_ip: Address = var(kinds.address, "address of mail-redis", default="172.20.0.4")
    redis_port: int = var(kinds.port, "port of mail-redis", default="6379")


@concern
class Hosts(RedisPlace):
    """Where the services are. Names are derived from DOMAIN, addresses are those of the network."""

    imap_ip: Address = var(kinds.address, "address of imap", default="172.20.0.5")
    imap_host: str = var(
        kinds.host, "name of imap, in its certificate", default=Like("imap.$DOMAIN"), example="imap.example.org"
    )
    exim_external_ip: Address = var(kinds.address, "address of exim-external", default="172.20.0.3")
    exim_external_host: str = var(
        kinds.host,
        "name of exim-external, the MX, in its certificate",
        default=Like("mail.$DOMAIN"),
        example="mail.example.org",
    )
    exim_int_mailout_ip: Address = var(kinds.address, "address of exim-int-mailout", default="172.20.0.9")
    exim_int_mailout_host: str = var(
        kinds.host,
        "name of exim-int-mailout, in its certificate",
        default=Like("smtp.$DOMAIN"),
        example="smtp.example.org",
    )
    exim_ext_mailout_ip: Address = var(kinds.address, "address of exim-ext-mailout", default="172.20.0.8")
    exim_ext_mailout_host: str = var(
        kinds.host,
        "name that exim-ext-mailout gives to the world",
        default=Like("mailout.$DOMAIN"),
        example="mailout.example.org",
    )
    exim_smarthost_mailout_ip: Address = var(
        kinds.address,
        "address of the smarthost that exim-int-mailout hands mail to",
        default=Like("$EXIM_EXT_MAILOUT_IP"),
        example="172.20.0.8",
    )
    exim_smarthost_host: str = var(
        kinds.host,
        "name of that smarthost, in its certificate",
        default=Like("smarthost.$DOMAIN"),
        example="smarthost.example.org",
    )
    exim_smarthost_port: int = var(kinds.port, "port of that smarthost", default="1587")
    rspam_ip: Address = var(kinds.address, "address of rspam", default="172.20.0.6")
    clamav_ip: Address = var(kinds.address, "address of clamav", default="172.20.0.7")
    dnsmasq_ip: Address = var(kinds.address, "address of mail-dnsmasq", default="172.20.0.31")


@concern
class Tls:
    """The certificate that a service shows, and how strict connections are."""

    tls_certificate: str = var(
        kinds.path,
        "file in the container with the certificate and its chain, in PEM",
        default="/run/secrets/letsencrypt-fullchain",
    )
    tls_key: str = var(
        kinds.path,
        "file in the container with the private key, in PEM",
        default="/run/secrets/letsencrypt-privkey",
    )
    tls_level: str = var(
        kinds.choice("modern", "intermediate"),
        "modern: TLS 1.3 for members, 1.2 between servers; intermediate: 1.2 and 1.3",
        default="intermediate",
    )


@concern
class Trust:
    """Whom a service believes when it connects to another one."""

    tls_ca: str = var(
        kinds.path,
        "file in the container with the authorities that the stack's own certificate is checked by",
        default=SYSTEM_CA,
    )


@concern
class Ldap:
    """How the directory is reached and what its attributes are called."""

    ldap_hosts: tuple[str, ...] = var(
        kinds.ldap_hosts,
        "directory servers, most preferred first; all are used",
        example="ldaps://ldap1.example.org ldaps://ldap2.example.org",
    )
    ldap_user: str = var(
        kinds.text,
        "DN of the account that may read members",
        example="cn=mail,ou=services,dc=example,dc=org",
    )
    ldap_password: Secret = var(kinds.text, "password of LDAP_USER", secret=True)
    ldap_base: str = var(kinds.dn, "where members are searched", example="ou=people,dc=example,dc=org")
    ldap_ca: str = var(
        kinds.path,
        "file in the container with the authorities that the directory is checked by",
        default=SYSTEM_CA,
    )
    ldap_group: str | None = var(
        kinds.group_dn,
        "DN of the group whose members may use mail; the default filters are made of it",
        default=None,
        example="cn=mail,ou=groups,dc=example,dc=org",
    )
    ldap_mail_attribute: str = var(kinds.attribute, "attribute with the primary address", default="mail")
    ldap_alias_attribute: str = var(
        kinds.attribute, "attribute with further addresses", default="gosaMailAlternateAddress"
    )

    def contradictions(self) -> Iterator[str]:
        """One connection setting serves all hosts, so they must agree on how TLS begins."""
        if len({url.split("://")[0] for url in self.ldap_hosts}) > 1:
            yield (
                f"LDAP_HOSTS got {short(' '.join(self.ldap_hosts))}, which mixes ldaps:// (port 636) with STARTTLS "
                "(ldap://, other ports): it accepts servers of one scheme, "
                "for example ldaps://ldap1.example.org ldaps://ldap2.example.org"
            )

    @property
    def ldap_scheme(self) -> str:
        """ldaps: TLS from the first byte; ldap: STARTTLS. Never without."""
        return self.ldap_hosts[0].split("://")[0]


@concern
class Members(Ldap):
    """Who may read mail."""

    ldap_user_filter: Pattern = var(
        dovecot_pattern(),
        "who has a mailbox",
        default=Like("(&(memberOf=$LDAP_GROUP)(|($LDAP_MAIL_ATTRIBUTE=%u)($LDAP_ALIAS_ATTRIBUTE=%u)))", in_filter),
        example="(&(memberOf=cn=mail,ou=groups,dc=example,dc=org)(mail=%u))",
    )
    ldap_pass_filter: Pattern = var(
        dovecot_pattern(),
        "who may log in",
        default=Like("(&(memberOf=$LDAP_GROUP)(|($LDAP_MAIL_ATTRIBUTE=%u)($LDAP_ALIAS_ATTRIBUTE=%u)))", in_filter),
        example="(&(memberOf=cn=mail,ou=groups,dc=example,dc=org)(mail=%u))",
    )
    ldap_iterate_filter: Pattern = var(
        dovecot_pattern(needed=False),
        "all who have a mailbox",
        default=Like("(&(memberOf=$LDAP_GROUP)($LDAP_MAIL_ATTRIBUTE=*))", in_filter),
        example="(memberOf=cn=mail,ou=groups,dc=example,dc=org)",
    )
    ldap_quota_attribute: str = var(kinds.attribute, "attribute with the quota in MB", default="gosaMailQuota")


@concern
class Size:
    """One limit for a message, the same everywhere."""

    message_size_limit: int = var(
        kinds.message_size,
        "largest message",
        default="50M",
        old=("POSTFIX_MESSAGE_SIZE_LIMIT",),
    )


@concern
class Imap:
    """Dovecot."""

    imap_auth_verbose: bool = var(kinds.boolean, "log the reason of each failed login", default=ON)
    imap_mail_debug: bool = var(kinds.boolean, "log what Dovecot does with mailboxes", default=OFF)
    enable_pop3: bool = var(kinds.boolean, "POP3 on 1110 and 1995", default=OFF)
    enable_managesieve: bool = var(kinds.boolean, "ManageSieve on 4190", default=ON)
    health_mailbox: str | None = var(
        kinds.email,
        "address of a member that nobody uses: health --deep sends it a message through the whole system",
        default=None,
        example="health@example.org",
    )
    mailbox_size_limit: int = var(
        kinds.quota,
        "quota of members whose directory entry has none; 0: no limit",
        default="1G",
        old=("POSTFIX_MAILBOX_SIZE_LIMIT",),
    )
    dovecot_mailbox_format: str = var(
        kinds.choice("maildir", "sdbox"),
        "how mail is stored: maildir: a file each, as other programs know it; sdbox: the same in Dovecot's own format",
        default="maildir",
    )
    vmail_uid: int = var(kinds.integer(1, 65533), "uid that owns the mail store", default="5000", name="vmail_uid")
    vmail_gid: int = var(
        kinds.integer(0, 65533),
        "further group of the imap container, for files of an older installation",
        default="0",
        name="vmail_gid",
    )
    imap_replica_server: str | None = var(
        kinds.unused(kinds.host),
        "second imap server (Dovecot 2.4 has no replicator)",
        default=None,
        example="imap2.example.org",
    )
    imap_replica_port: int | None = var(
        kinds.unused(kinds.port), "port of the second imap server", default=None, example="993"
    )
    imap_replica_password: Secret | None = var(
        kinds.unused(kinds.text), "password of the replication", default=None, secret=True
    )


@concern
class LocalDomains:
    """Whose mail is for here."""

    exim_local_domains: tuple[str, ...] = var(
        kinds.domains,
        "domains whose members get their mail here",
        default=Like("$DOMAIN"),
        example="example.org:example.net",
    )


@concern
class Exim(LocalDomains):
    """What the three Exim roles share."""

    postmaster_address: str = var(
        kinds.email, "who gets what needs a person", default=Like("postmaster@$DOMAIN"), example="admin@example.org"
    )


@concern
class Recipients(Ldap):
    """Who gets mail here."""

    exim_ldap_user_filter: Pattern = var(
        exim_pattern("local_part", "domain", needed="local_part"),
        "who gets mail; asked for each recipient",
        default=Like(
            "(&(memberOf=$LDAP_GROUP)(|($LDAP_MAIL_ATTRIBUTE=$local_part@$domain)"
            "($LDAP_ALIAS_ATTRIBUTE=$local_part@$domain)))",
            in_filter,
        ),
        example="(&(memberOf=cn=mail,ou=groups,dc=example,dc=org)(mail=$local_part@$domain))",
    )


@concern
class Senders(Ldap):
    """Who may log in to send, and to whom."""

    exim_int_mailout_ldap_auth: LdapSearch = var(
        login_search(),
        "who may log in with AUTH LOGIN",
        default=Like(
            "ldap:///$LDAP_BASE??sub?(&(memberOf=$LDAP_GROUP)"
            "(|($LDAP_MAIL_ATTRIBUTE=$auth1)($LDAP_ALIAS_ATTRIBUTE=$auth1)))",
            in_url,
        ),
        example="ldap:///ou=people,dc=example,dc=org??sub?(mail=${quote_ldap:$auth1})",
    )
    exim_int_mailout_ldap_plain: LdapSearch = var(
        login_search(),
        "who may log in with AUTH PLAIN",
        default=Like(
            "ldap:///$LDAP_BASE??sub?(&(memberOf=$LDAP_GROUP)"
            "(|($LDAP_MAIL_ATTRIBUTE=$auth2)($LDAP_ALIAS_ATTRIBUTE=$auth2)))",
            in_url,
        ),
        example="ldap:///ou=people,dc=example,dc=org??sub?(mail=${quote_ldap:$auth2})",
    )
    exim_public_ldap_user_filter: Pattern = var(
        exim_pattern("authenticated_id"),
        "who may send to the world",
        default=Like(
            "(&(memberOf=$LDAP_GROUP)(|($LDAP_MAIL_ATTRIBUTE=$authenticated_id)"
            "($LDAP_ALIAS_ATTRIBUTE=$authenticated_id)))",
            in_filter,
        ),
        example="(&(memberOf=cn=world,ou=groups,dc=example,dc=org)(mail=$authenticated_id))",
    )
    spoof_protection: bool = var(kinds.boolean, "members may send only from their own addresses", default=ON)


@concern
class Smarthost:
    """Who may send through exim-ext-mailout, and how mail leaves."""

    exim_relay_hosts: tuple[str, ...] = var(
        kinds.relay_hosts,
        "names or addresses of hosts that may relay, separated by spaces or colons",
        default=Like("$EXIM_INT_MAILOUT_IP $EXIM_EXTERNAL_IP $IMAP_IP"),
        example="192.0.2.10 mailman.example.org",
    )
    exim_whitelist_net: tuple[Network, ...] = var(
        kinds.networks,
        "networks whose hosts may relay; never one that holds the container network's gateway",
        default="",
        example="192.0.2.0/28",
    )
    mail_network: Network = var(
        kinds.container_network,
        "the container network; its first address is the gateway",
        default="172.20.0.0/16",
        example="172.20.0.0/16",
    )
    exim_dkim_selector: str | None = var(
        kinds.selector,
        "DKIM selector; not set: mail is not signed",
        default=None,
        example="20260101",
    )
    dkim_keys: str = var(
        kinds.path,
        "file with the DKIM key of all local domains, or folder with one DOMAIN.pem each",
        default="/run/secrets/dkim-privkey",
    )
    default_relay_host: Relay | None = var(
        relay,
        "relay for all mail to the world",
        default=None,
        example="smtp.example.net:587",
        old=("RELAY_HOST",),
    )
    relay_domains: tuple[tuple[str, Relay], ...] = var(
        relay_map,
        "relays for the mail to some domains, as domain=host:port",
        default="",
        example="example.com=smtp.example.com:587",
    )
    relay_logins: tuple[RelayLogin, ...] = var(
        relay_logins,
        "logins at relays, a line each: host user:password",
        default="",
        example="smtp.example.net user:password",
        secret=True,
        old=("SASL_PASSWD",),
    )
    exim_ext_msaccount: str | None = var(
        kinds.login,
        "login at Microsoft's relay, for mail to its domains",
        default=None,
        example="mail@example.onmicrosoft.com",
    )
    exim_ext_pw: Secret | None = var(kinds.text, "password of EXIM_EXT_MSACCOUNT", default=None, secret=True)
    exim_ext_msrelay: Relay = var(relay, "Microsoft's relay", default="smtp.office365.com:587")
    exim_ext_msdomains: tuple[str, ...] = var(
        kinds.domains,
        "domains whose mail goes through that relay when EXIM_EXT_MSACCOUNT is set",
        default="hotmail.com:hotmail.de:live.com:live.de:msn.com:outlook.com:outlook.de",
        example="hotmail.com:outlook.com",
    )

    def contradictions(self) -> Iterator[str]:
        """Who may relay is narrow, and a login has two halves."""
        for name, nets in self._trusted():
            for net in nets:
                if problem := self._too_trusting(net):
                    yield f"{name} has {net}, {problem}"
        account = self.exim_ext_msaccount
        if (account is None) != (self.exim_ext_pw is None):
            yield (
                f"EXIM_EXT_MSACCOUNT got {short(account) if account else 'nothing'}, and EXIM_EXT_PW "
                f"{'nothing' if account else 'a value'}: they need each other; set both, for example "
                "EXIM_EXT_MSACCOUNT=mail@example.onmicrosoft.com and EXIM_EXT_PW_FILE=./secrets/exim-ext-pw, or none"
            )

    def _trusted(self) -> Iterator[tuple[str, list[Network]]]:
        yield "EXIM_WHITELIST_NET", list(self.exim_whitelist_net)
        yield "EXIM_RELAY_HOSTS", [ip_network(host) for host in self.exim_relay_hosts if kinds.is_network(host)]

    def _too_trusting(self, net: Network) -> str:
        """The gateway is how the whole world looks behind Docker's proxy: it may never relay."""
        if kinds.holds(net, gateway := self.mail_network[1]):
            return (
                f"which holds {gateway}, the container network's gateway (MAIL_NETWORK): hosts outside appear "
                "under it and all of them could relay; it accepts what does not hold the gateway: "
                "name the single hosts, for example 192.0.2.10"
            )
        if net.prefixlen < _WIDEST[net.version]:
            return (
                f"which is wider than /{_WIDEST[net.version]}: it accepts the networks that really may relay, "
                f"for example {'192.0.2.0/28' if net.version == 4 else '2001:db8:1::/64'}"
            )
        return ""


@concern
class Redis:
    """mail-redis, for all who use it."""

    redis_password: Secret = var(
        kinds.text,
        "password of mail-redis; to be given where rspam does not run on the same machine",
        default=None,
        secret=True,
        generated=SHARED_PASSWORDS,
    )


@concern
class RedisServer(Redis):
    """mail-redis itself."""

    redis_protected_mode: bool = var(
        kinds.boolean,
        "refuse clients without a password from other hosts",
        default=ON,
        old=("REDIS_PRODECTED_MODE",),
    )
    redis_maxmemory: int = var(kinds.memory, "memory for data", default="256M")


@concern
class Scan:
    """What is done with rspamd's verdicts; both rspamd and Exim follow it."""

    sa_tag: float = var(kinds.decimal(-100, 1000), "score from which headers tell it", default="3.0")
    sa_spam_subject: str | None = var(
        kinds.text, "text before the subject of marked mail", default=None, example="***SPAM***"
    )
    postgrey_text: str = var(kinds.text, "what a greylisted sender is told", default="Try again later")


@concern
class VirusScan:
    """Whether there is one."""

    enable_clamav: bool = var(
        kinds.boolean, "run clamav, have rspam ask it, and refuse mail in which it finds a virus", default=OFF
    )


@concern
class Clamav:
    """Where signatures come from, and how they are loaded."""

    freshclam_mirror: str = var(
        kinds.mirror,
        "where the official signatures come from: a host, or a URL of a mirror of your own; none: nowhere",
        default=FRESHCLAM_OFFICIAL,
        example="http://mirror.example.org/clamav",
    )
    freshclam_checks: int = var(kinds.integer(1, 50), "how often in a day newer signatures are asked for", default="12")
    freshclam_urls: tuple[str, ...] = var(
        kinds.signature_urls,
        "files with further signatures that are fetched as often",
        default="",
        example="https://signatures.example.org/own.ndb",
    )
    clamav_concurrent_reload: bool = var(
        kinds.boolean,
        "go on scanning while new signatures are loaded, for which both sets are in memory; no: mail waits so long",
        default=ON,
    )


@concern
class Rspam(Redis, Scan):
    """rspamd."""

    rspam_password: Secret = var(
        kinds.text,
        "password of the console, to read; a text or a hash of rspamadm pw",
        default=None,
        name="RSPAM_password",
        old=("RSPAMD_password",),
        secret=True,
        generated=CONSOLE_PASSWORDS,
    )
    rspam_enable_password: Secret = var(
        kinds.text,
        "password of the console, to learn and to change; a text or a hash of rspamadm pw",
        default=None,
        name="RSPAM_enable_password",
        old=("RSPAMD_enable_password",),
        secret=True,
        generated=CONSOLE_PASSWORDS,
    )
    rspam_neighbours: tuple[str, ...] = var(
        kinds.neighbours,
        "other consoles to show, as name=http://host:port",
        default="",
        name="RSPAM_NEIGHBOURS",
        example="b=http://rspam.b.example.org:11334",
    )
    rspam_redis_db: int = var(kinds.integer(0, 15), "database in mail-redis", default="7")
    rspam_console_host: str = var(
        kinds.host,
        "name of the console behind Traefik",
        default=Like("rspam.$DOMAIN"),
        name="RSPAM_CONSOLE_HOST",
        example="spam.example.org",
    )
    sa_tag2: float = var(kinds.decimal(-100, 1000), "score from which mail is marked as spam", default="6.31")
    sa_kill: float = var(kinds.decimal(-100, 1000), "score from which mail is refused", default="15")
    enable_postgrey: bool = var(kinds.boolean, "greylist doubtful mail", default=ON)
    postgrey_delay: int = var(kinds.integer(1, 86400), "seconds that greylisted mail has to wait", default="300")
    postgrey_max_age: int = var(kinds.integer(1, 365), "days that a known sender is remembered", default="35")
    rspam_maps_online: bool = var(
        kinds.boolean, "fetch rspamd's maps and ask its fuzzy storage on the internet", default=ON
    )
    rspam_dns_lists: bool = var(kinds.boolean, "ask DNS lists about hosts and links", default=ON)

    def contradictions(self) -> Iterator[str]:
        """The three scores are steps, one above the other."""
        if not self.sa_tag <= self.sa_tag2 <= self.sa_kill:
            yield (
                f"SA_TAG={self.sa_tag:g}, SA_TAG2={self.sa_tag2:g} and SA_KILL={self.sa_kill:g} do not rise: they "
                "accept scores of which none is below the one before, for example SA_TAG=3, SA_TAG2=6.31 and SA_KILL=15"
            )


@concern
class Dns:
    """mail-dnsmasq."""

    dns_upstream: tuple[str, ...] = var(
        kinds.dns_upstream,
        "DNS servers that are asked for the world; system: those of the host; none: no world",
        default="system",
        example="9.9.9.9 2620:fe::fe",
    )
    dns_hosts: tuple[tuple[str, str], ...] = var(
        kinds.dns_hosts,
        "further hosts, as name=address",
        default="",
        example="nextcloud.example.org=172.20.0.40",
    )
    ldap_hosts: tuple[str, ...] = var(
        kinds.ldap_hosts, "directory servers; the first gets LDAP_IP", default="", example="ldap1.example.org"
    )
    ldap_ip: Address | None = var(
        kinds.address,
        "address of the first of LDAP_HOSTS, if DNS does not know it, and of the embedded directory, 172.20.0.10",
        default=None,
        example="192.0.2.53",
    )


@concern
class Fetchmail(LocalDomains):
    """Mailboxes at other providers."""

    fetchmail_accounts: tuple[Mailbox, ...] = var(
        mailboxes,
        "mailboxes that mail is fetched from, a line each: the member who gets it, what becomes of it there, the "
        "server, the login",
        default="",
        example="alice@example.org delete imaps://imap.example.net alice@example.net:password",
        secret=True,
    )
    fetchmail_poll: int = var(
        kinds.integer(30, 86400), "seconds between two rounds over these mailboxes", default="300"
    )
    fetchmail_ca: str = var(
        kinds.path,
        "file in the container with the authorities that these servers are checked by",
        default=SYSTEM_CA,
    )

    def contradictions(self) -> Iterator[str]:
        """Members are here: mail for others would be refused, and stay where it is."""
        for mailbox in self.fetchmail_accounts:
            if mailbox.recipient.rpartition("@")[2] not in self.exim_local_domains:
                yield (
                    f"FETCHMAIL_ACCOUNTS has mail for {mailbox.recipient}, who is in no domain of EXIM_LOCAL_DOMAINS: "
                    f"it accepts members here, for example alice@{self.exim_local_domains[0]}"
                )


@concern
class Directory:
    """The embedded directory."""

    directory_host: str = var(
        kinds.host,
        "name of the embedded directory, in its certificate",
        default=Like("ldap.$DOMAIN"),
        example="ldap.example.org",
    )
    ldap_user: str = var(
        kinds.text, "DN of the account that may read; it is made of this", example="cn=postern,dc=example,dc=org"
    )
    ldap_password: Secret = var(kinds.text, "password of LDAP_USER", secret=True)
    ldap_base: str = var(kinds.dn, "where members are", example="ou=people,dc=example,dc=org")
    ldap_group: str = var(
        kinds.group_dn,
        "DN of the group whose members may use mail; an empty directory gets it",
        example="cn=mail,ou=groups,dc=example,dc=org",
    )
    ldap_members: str = var(
        kinds.path,
        "LDIF file with members or more for an empty directory; what it does not have of LDAP_BASE, LDAP_GROUP and "
        "all above them is made",
        default=MEMBERS,
    )

    def contradictions(self) -> Iterator[str]:
        """The directory's suffix is derived, so there must be one; and the group is in it."""
        if not self.ldap_suffix:
            yield (
                f"LDAP_BASE got {short(self.ldap_base)}, which does not end with dc=…: for the embedded directory it "
                "accepts a base that does, for example ou=people,dc=example,dc=org"
            )
        elif not re.fullmatch(rf"cn=.*[^,],\s*{re.escape(self.ldap_suffix)}", self.ldap_group, re.IGNORECASE):
            yield (
                f"LDAP_GROUP got {short(self.ldap_group)}, which is no group of the embedded directory: it accepts "
                "a DN that begins with cn= and ends as LDAP_BASE does, "
                f"for example cn=mail,ou=groups,{self.ldap_suffix}"
            )

    @property
    def ldap_suffix(self) -> str:
        """The root of the directory: `dc=example,dc=org` of `ou=people,dc=example,dc=org`."""
        found = re.search(r"dc=[^,]+(?:,\s*dc=[^,]+)*$", self.ldap_base, re.IGNORECASE)
        return found[0] if found else ""


@concern
class Mailman:
    """Mailing lists. Read, so that an older installation's .env is no mistake; they do nothing yet, which is told."""

    have_mm3: bool = var(kinds.unused(kinds.boolean), "mailing lists", default=OFF)
    mm3_data_dir: str | None = var(
        kinds.unused(kinds.folder), "folder of mailman-core", default=None, example="/data/mailman/core"
    )
    mm3_web_dir: str | None = var(
        kinds.unused(kinds.folder), "folder of mailman-web", default=None, example="/data/mailman/web"
    )
    mm3_database_url: Secret | None = var(
        kinds.unused(kinds.text), "database of mailman-core", default=None, secret=True
    )
    mm3_web_database_url: Secret | None = var(
        kinds.unused(kinds.text), "database of mailman-web", default=None, secret=True
    )
    mm3_hyperkitty_api_key: Secret | None = var(
        kinds.unused(kinds.text), "key of the archive", default=None, secret=True
    )
    mm3_smtp_port: int | None = var(kinds.unused(kinds.port), "port to which lists send", default=None, example="1025")
    mm3_domains: str | None = var(
        kinds.unused(kinds.text), "domains of lists", default=None, example="lists.example.org"
    )
    mm3_core_ip: Address = var(kinds.unused(kinds.address), "address of mailman-core", default="172.20.0.27")
    mm3_web_ip: Address = var(kinds.unused(kinds.address), "address of mailman-web", default="172.20.0.28")
    exim_int_mm3_domains: str | None = var(
        kinds.unused(kinds.text), "domains of lists, for exim-int-mailout", default=None, example="lists.example.org"
    )


def _host_port(service: str, default: str) -> str:
    port: str = var(
        kinds.published, f"where the host listens for {service}", default=default, example=f"127.0.0.1:{default}"
    )
    return port


def _host_folder(content: str, default: str) -> str:
    folder: str = var(kinds.folder, f"folder on the host, or volume, with {content}", default=default)
    return folder


def _host_file(content: str, example: str) -> str | None:
    file: str | None = var(kinds.host_path, f"file on the host with {content}", default=None, example=example)
    return file


@concern
class Compose(Mailman):  # whoever reads an .env is told of what does nothing yet
    """What only docker-compose.yaml uses: ports, folders and files of the host. No container gets it."""

    postern_version: str = var(kinds.image_tag, "tag of the images", default="dev", example="0.1.0")
    smtp_port: str = _host_port("exim-external: SMTP", "25")
    submission_port: str = _host_port("exim-external: submission", "587")
    submissions_port: str = _host_port("exim-external: submission with TLS from the first byte", "465")
    imap_port: str = _host_port("imap: IMAP with STARTTLS", "143")
    imaps_port: str = _host_port("imap: IMAPS", "993")
    managesieve_port: str = _host_port("imap: ManageSieve", "4190")
    int_mailout_submission_port: str = _host_port("exim-int-mailout", "2587")
    ext_mailout_smtp_port: str = _host_port("exim-ext-mailout: SMTP", "2526")
    ext_mailout_submission_port: str = _host_port("exim-ext-mailout: submission", "1587")
    ext_mailout_submissions_port: str = _host_port("exim-ext-mailout: TLS from the first byte", "1465")
    rspam_console_port: str = var(
        kinds.published,
        "where the host listens for rspam: the console, which knows no TLS and so is for this machine only, or for a "
        "proxy on it",
        default="127.0.0.1:11334",
        example="127.0.0.1:8334",
    )
    rspam_console_traefik: str = var(
        kinds.choice("true", "false"), "let a Traefik in the container network show the console", default="false"
    )
    rspam_console_entrypoint: str = var(
        kinds.word, "Traefik's name for its port with TLS", default="websecure", example="https"
    )
    vmail_data: str = _host_folder("the mailboxes", "/data/$DOMAIN/vmail")
    redis_data: str = _host_folder("the data of mail-redis", "/data/$DOMAIN/redis")
    rspam_data: str = _host_folder("what rspamd has learnt, and its maps", "/data/$DOMAIN/rspam")
    exim_external_spool: str = _host_folder("the queue of exim-external", "/data/$DOMAIN/exim-external")
    exim_int_mailout_spool: str = _host_folder("the queue of exim-int-mailout", "/data/$DOMAIN/exim-int-mailout")
    exim_ext_mailout_spool: str = _host_folder("the queue of exim-ext-mailout", "/data/$DOMAIN/exim-ext-mailout")
    clamavlib: str = _host_folder("the signatures of clamav", "/data/clamav")
    clamav_signatures_dir: str = _host_folder("files with signatures of your own", "./local/clamav.d")
    clamav_memory: str = var(
        kinds.memory_limit, "memory that clamav may take; with the official signatures 3g at least", default="4g"
    )
    dnsmasq_hosts_dir: str = _host_folder("files of further hosts for mail-dnsmasq", "./local/hosts.d")
    dnsmasq_config_dir: str = _host_folder("further configuration of mail-dnsmasq", "./local/dnsmasq.d")
    passwords_data: str = _host_folder("the password of mail-redis, if none is given", "passwords")
    ldap_data: str = _host_folder("the embedded directory", "ldap")
    fetchmail_data: str = _host_folder("what fetchmail knows of mail that it has fetched and kept", "fetchmail")
    ldap_members_file: str | None = _host_file(
        "members for an empty embedded directory, as LDIF", "./secrets/members.ldif"
    )
    tls_fullchain_file: str | None = _host_file(
        "the certificate and its chain, in PEM", "/etc/letsencrypt/live/example.org/fullchain.pem"
    )
    tls_privkey_file: str | None = _host_file(
        "the private key, in PEM", "/etc/letsencrypt/live/example.org/privkey.pem"
    )
    tls_ca_file: str | None = _host_file(
        "own authorities; used with TLS_CA or LDAP_CA=/run/secrets/ca", "./local/ca.pem"
    )
    dkim_privkey_file: str | None = _host_file("the DKIM key, or folder with one DOMAIN.pem each", "./secrets/dkim.pem")
    extra_ca: str | None = _host_file(
        "the authorities of a proxy that opens TLS while images are built", "/etc/ssl/certs/proxy.pem"
    )
    health_interval: str = var(kinds.duration, "time between two health checks", default="10s", example="1m30s")
    fetchmail_ip: Address = var(kinds.address, "address of fetchmail", default="172.20.0.12")
    sink_ip: Address = var(kinds.address, "address of the demo's outside world", default="172.20.0.99")
