//! Examples: what stands below every `--help`.

pub(super) const ROOT: &str = "\
First steps:
  windrose demo                                    see it work, on this machine alone
  windrose check --config windrose.toml            is my file right?
  windrose status                                  health and shares of every service

Exit codes:
  0 done   1 failed   2 usage or invalid config   3 condition not met   4 revision conflict
  5 refused by a guard or because the target is not up   6 server not reachable   7 not allowed";

pub(super) const SERVE: &str = "\
Examples:
  windrose serve --config /etc/windrose/windrose.toml
  windrose serve --config windrose.toml --without-store     the store is broken: answer all the same
  windrose serve --config windrose.toml --upgrade           take over from the server that runs";

pub(super) const CHECK: &str = "\
Every problem is printed with file, line and what to do (exit code 2); then time to detect, time until clients moved, probes a second.

Example:
  windrose check --config windrose.toml";

pub(super) const DEMO: &str = "\
Examples:
  windrose demo                     runs until Ctrl-C, then removes everything
  windrose demo break prod          in a second terminal
  windrose demo fix prod
  windrose demo --tour              plays it all by itself
  windrose demo --config > my.toml";

pub(super) const RELOAD: &str = "\
What the new file does to traffic must keep the guards that are in force (docs/guards.md); else nothing is changed, exit code 5.

Examples:
  windrose check --config /etc/windrose/windrose.toml && windrose reload
  windrose plan                                                    what it would do
  windrose reload --break-glass max_step --reason \"CHG-1234\"";

pub(super) const PLAN: &str = "\
Over the server's own socket the server reads FILE itself; elsewhere the text is sent, and files that it names are the server's. Needs the scope admin.
Exit code 0: nothing would change; 3: something would; 5: it would be refused; 2: the file has problems.

Examples:
  windrose plan
  windrose plan windrose.toml || test $? -eq 3";

pub(super) const DIFF: &str = "\
Exit code 0: all the same; 3: the file on disk differs from what runs, or operators have moved traffic away from it.

Example:
  windrose diff";

pub(super) const UPGRADE: &str = "\
The server checks its configuration with the program that is on disk now, starts it, and hands its sockets and what it has learned over; then it ends.
Every query is answered meanwhile, changes are refused for a moment (503). If the new one does not come up, the old one goes on. Needs the scope admin.

Example:
  install -m 0755 windrose /usr/bin/windrose && windrose upgrade";

pub(super) const HEALTH: &str = "\
Exit code 0: ready; 3: not ready, with the reasons; 6: not reachable.

Example:
  windrose health && echo ready";

pub(super) const STATUS: &str = "\
Examples:
  windrose status
  windrose status orders search
  windrose status -w                 print it again whenever it changes
  windrose status --exit-code > /dev/null || page-somebody
  windrose status -o json | jq '.problems[].text'";

pub(super) const TOP: &str = "\
Examples:
  windrose top
  windrose top eu-west               only what has to do with eu-west
  windrose top --server https://ns1.example.com:8090 --token-file ~/.windrose-token

Keys: ↑↓ or j k choose, Tab pane, Enter describe, e explain, d drain, s split or fail over, p probe, / filter, ? help, q quit.
Every change shows what it would do, wants a reason, and is made by y alone.
Without a terminal (or with -o json) it prints lines, as `windrose status -w` does.";

pub(super) const GET: &str = "\
Examples:
  windrose get services
  windrose get endpoints
  windrose get guards                what changes must keep, and where that stands
  windrose get overrides -o json";

pub(super) const DESCRIBE: &str = "\
Examples:
  windrose describe service orders
  windrose describe pool prod
  windrose describe endpoint prod/192.0.2.10";

pub(super) const HISTORY: &str = "\
Examples:
  windrose history orders
  windrose undo orders --to 42       back to what revision 42 had set";

pub(super) const REPLAY: &str = "\
Outcomes are recorded while probes run ([outcomes] in the file). Nothing is changed. With --with it needs the scope admin; the file is read as by plan.

Examples:
  windrose replay
  windrose replay --since 6h --with calmer.toml
  windrose replay --since 7d -o json";

pub(super) const EXPLAIN: &str = "\
Examples:
  windrose explain orders.api.example.com
  windrose explain orders.api.example.com --type AAAA";

pub(super) const SIMULATE: &str = "\
Nothing is changed. A region that carries more than it declares (capacity) falls next, until nobody does.
Exit code 0: it would hold; 3: a region would be overloaded, or nothing left for a service.

Examples:
  windrose simulate --down prod
  windrose simulate --down prod --also dr/10.1.0.1 --at peak
  windrose simulate --down tag/az-1 -o json
  windrose simulate --config next.toml";

pub(super) const EVENTS: &str = "\
Examples:
  windrose events --since 1h
  windrose events -f --type 'failover.*' --service orders
  windrose events -f -o json | jq -r .data.summary
  windrose events --deliveries       messages to webhooks";

pub(super) const AUDIT: &str = "\
Needs the scope admin. Entries are chained by hashes: verify names the first one that was changed, taken away or added.

Examples:
  windrose audit list
  windrose audit export > audit.jsonl
  windrose audit verify --file audit.jsonl     no server needed";

pub(super) const WEBHOOK: &str = "\
Examples:
  windrose webhook test ops
  windrose webhook list";

pub(super) const PROBE: &str = "\
Nothing is changed: the probe counts for no verdict, metric or history. Exit code 0: it passes; 3: it fails.
A URL is probed by the server; without one, by this program, which says so.

Examples:
  windrose probe prod/192.0.2.10
  windrose probe https://api.example.com/healthcheck
  windrose probe https://api.example.com/healthcheck --address 192.0.2.10
  windrose probe tcp://192.0.2.10:3306 --local
  windrose probe --monitor gateway --address 192.0.2.99";

pub(super) const PROBES: &str = "\
Failed ones are kept apart, so that good ones don't push them out; they outlive a restart.

Examples:
  windrose probes prod/192.0.2.10
  windrose probes prod/192.0.2.10 --failed --limit 10";

pub(super) const WAIT: &str = "\
Exit code 0: all conditions hold; 3: they did not in time, and what was there instead.

Examples:
  windrose wait search --for up=prod
  windrose failback orders && windrose wait orders --for share:prod=100 --within 2m";

pub(super) const COMPLETION: &str = "\
Examples:
  windrose completion bash > /usr/share/bash-completion/completions/windrose
  windrose completion zsh > \"${fpath[1]}/_windrose\"
  windrose completion fish > ~/.config/fish/completions/windrose.fish";

pub(super) const MAN: &str = "\
Examples:
  windrose man | man -l -
  windrose man /usr/local/share/man/man1";

pub(super) const QUERY: &str = "\
Examples:
  windrose query orders.api.example.com
  windrose query search.api.example.com -n 1000
  windrose query api.example.com --type SOA --server-dns 192.0.2.53";

pub(super) const SPLIT: &str = "\
Examples:
  windrose split search prod=80 dr=20 --reason CHG-1234
  windrose split search prod=50 dr=50 --dry-run
  windrose split search prod=0 dr=100 --break-glass max_step --reason \"prod is on fire\"
  windrose undo search                               back to what was before";

pub(super) const FAILOVER: &str = "\
Examples:
  windrose failover orders
  windrose failover orders --to dr --reason \"prod maintenance\"";

pub(super) const FAILBACK: &str = "\
A pool that was down and came back waits for its service's `failback` time, or for this command.

Examples:
  windrose failback orders
  windrose failback orders prod";

pub(super) const UNDO: &str = "\
Examples:
  windrose undo orders               what was before the last change; twice: back again
  windrose undo orders --to 42       what revision 42 had set
  windrose undo orders --to file     what the configuration says";

pub(super) const DRAIN: &str = "\
Examples:
  windrose drain region prod --for 2h --reason \"kernel upgrade\"
  windrose drain pool prod --service orders
  windrose drain tag az-1 --for 1h --reason \"zone az-1 is losing packets\"
  windrose drain region 'eu-*' --for 10m
  windrose drain endpoint prod/192.0.2.10 --for 30m --dry-run";

pub(super) const UNDRAIN: &str = "\
Example:
  windrose undrain region prod";

pub(super) const FORCE_UP: &str = "\
Example:
  windrose force-up endpoint prod/192.0.2.10 --for 1h --reason \"health page is broken, the service works\"";

pub(super) const FORCE_DOWN: &str = "\
Example:
  windrose force-down pool prod --for 1h --reason \"serves old data\"";

pub(super) const UNFORCE: &str = "\
Example:
  windrose unforce endpoint prod/192.0.2.10";

pub(super) const FREEZE: &str = "\
Example:
  windrose freeze orders --for 30m --reason \"network works\"";

pub(super) const UNFREEZE: &str = "\
Example:
  windrose unfreeze orders";

pub(super) const EXTEND: &str = "\
Examples:
  windrose extend o-12 --for 1h
  windrose extend o-12 --forever";

pub(super) const SHIFT: &str = "\
Each step is a change of traffic that guards weigh; it is watched for its hold. A pool that gains and is not up pauses the shift, or takes it back if
--abort-when or the plan says so. Abort always works, and brings back what was before.

Examples:
  windrose shift search prod=20 dr=80 --steps 5,25,50p,100 --hold 5m --reason CHG-1234
  windrose shift search prod=20 dr=80 --plan careful --dry-run
  windrose shift status search -w
  windrose shift promote search
  windrose shift abort search";

pub(super) const SCHEDULE: &str = "\
A change with --at is looked at now, kept, and made at its moment; guards are asked again then. One that is refused or missed is told to everybody,
and stays listed until somebody cancels it.

Examples:
  windrose split search prod=50 dr=50 --at 22:00 --reason CHG-1234
  windrose drain region prod --for 2h --at +30m --reason \"kernel upgrade\"
  windrose schedule list
  windrose schedule cancel t-9";

pub(super) const GATE: &str = "\
Examples:
  windrose gate on release --reason CHG-1234
  windrose gate off release
  windrose get gates";

pub(super) const CONFIRM: &str = "\
A change with --break-glass may need a second person, with another token of scope admin, within 10 minutes.

Examples:
  windrose confirm c-7 --dry-run     what it would do
  windrose confirm c-7";
pub(super) const PUSH: &str = "\
Examples:
  windrose push prod/gw-1 pass --ttl 90s
  windrose push prod/gw-1 fail -m \"replication lags by 4 minutes\"";

pub(super) const FRESHNESS: &str = "\
A pool with hold_if_older_than is not used while the data of its region is older, or nobody has told how old it is.

Examples:
  windrose freshness dr
  windrose freshness dr --at 2026-11-21T12:00:03Z
  windrose freshness dr --age 5m";

pub(super) const LOAD: &str = "\
A pool with shed gives away a share of its answers while its load is over what it declares.

Examples:
  windrose load prod 85
  windrose load prod 0               what is full no more, whatever was told before";

pub(super) const LATENCY: &str = "\
Policies of kind latency answer with the region that is quickest from the client's network.

Examples:
  windrose latency push measured.csv
  windrose latency list 203.0.113.9
  windrose latency forget 203.0.113.0/24";

pub(super) const LATENCY_PUSH: &str = "\
A network is a prefix or an address; no more than 24 bits of IPv4 and 56 of IPv6 are kept. MS is the round trip. SAMPLES, 10 unless told
otherwise, says how many measurements a line sums up: what is known already counts as 10. # begins a comment.

Examples:
  windrose latency push measured.csv
  echo '203.0.113.0/24,prod,42.5' | windrose latency push -";

pub(super) const APPROVE: &str = "\
It needs a reason and ends after 4h, unless told otherwise.

Examples:
  windrose approve pool dr --for 2h --reason \"prod is lost, 3 hours of orders with it, INC-1234\"
  windrose approve region dr --service orders --reason \"read only\" --dry-run";

pub(super) const UNAPPROVE: &str = "\
Examples:
  windrose unapprove pool dr";

pub(super) const TOKEN: &str = "\
Examples:
  windrose token create ci --scope operate --service orders --expires 90d > ci.token
  windrose token list
  windrose token revoke ci";

pub(super) const TOKEN_CREATE: &str = "\
Examples:
  windrose token create ci --scope operate --service orders --expires 90d > ci.token
  windrose status --server https://ns1.example.com:8090 --token-file ci.token";

pub(super) const WHOAMI: &str = "\
Example:
  windrose whoami";

pub(super) const DASHBOARDS: &str = "\
Four dashboards for Grafana 10.4 or later, as files for its provisioning or to import by hand. No server is asked.

Examples:
  windrose dashboards export /var/lib/grafana/dashboards
  windrose dashboards export ./dashboards --datasource prometheus-eu --force";

pub(super) const RULES: &str = "\
Each alert links to its runbook. No server is asked.

Examples:
  windrose rules export > windrose.rules.yml
  windrose rules export /etc/prometheus/rules --force
  windrose rules export ./rules --runbooks https://wiki.example.com/windrose/{alert}";

pub(super) const OPENAPI: &str = "\
OpenAPI 3.1, the same that a server of this version shows at /api/v1/openapi.json. No server is asked.

Examples:
  windrose openapi > windrose-openapi.json
  windrose openapi | openapi-generator-cli generate -g python -i /dev/stdin -o client";
