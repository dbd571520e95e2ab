import NIOOpenSSL
import RelayCore
import Settings
import Testing

@testable import Diagnosis

/// What doctor finds on the machine itself: certificate, host name, listeners, database, disk, queue and keys.
@Suite struct MachineTests {
    // MARK: Certificate

    private func judge(
        _ certificate: TLSCertificateInfo, _ hostname: String = "smtp.example.com", keyIsOpen: Bool = false
    ) -> [Finding] {
        Judge.certificate(certificate, hostname: hostname, key: ("/tls/it's.key", keyIsOpen), now: now)
    }

    @Test func certificates() {
        expect(judge(.example()), .ok, "smtp.example.com", "60 days", "1 intermediate")
        expect(judge(.example(to: days(14) + .seconds(1))), .ok, "2026-12-08")
        expect(judge(.example(to: days(14))), .warning, "14 days", "certbot renew")
        expect(judge(.example(to: .seconds(3600))), .warning, "60 minutes")
        expect(judge(.example(to: .zero)), .problem, "expired", "0 seconds", "certbot renew")
        expect(judge(.example(to: days(-3))), .problem, "expired", "3 days", "2026-11-21")
        expect(judge(.example(from: .seconds(60))), .problem, "2026-11-24T14:34:17", "timedatectl")
        expect(judge(.example(from: .zero)), .ok)
        expect(judge(.example(isSelfSigned: true, intermediates: 0)), .warning, "self-signed")
        expect(judge(.example(intermediates: 0)), .warning, "no intermediate", "fullchain.pem")
        expect(judge(.example(names: ["mx.example.com"])), .warning, "mx.example.com", "smtp.example.com", "hostname")
        expect(judge(.example(names: [])), .warning, "no DNS name", "smtp.example.com")
        expect(judge(.example(), keyIsOpen: true), .warning, "/tls/it's.key", #"chmod o-rwx '/tls/it'\''s.key'"#)
        // A certificate can have all faults at once.
        let all = judge(
            .example(names: ["a.example"], to: days(-1), isSelfSigned: true, intermediates: 0), keyIsOpen: true)
        #expect(all.map(\.outcome) == [.problem, .warning, .warning, .warning])
    }

    @Test(arguments: [
        ("smtp.example.com", "smtp.example.com", true), ("SMTP.Example.com", "smtp.example.COM", true),
        ("*.example.com", "smtp.example.com", true), ("*.example.com", "example.com", false),
        ("*.example.com", "a.smtp.example.com", false), ("*.example.com", ".example.com", false),
        ("*.com", "example.com", true), ("s*.example.com", "smtp.example.com", false),
        ("example.com", "smtp.example.com", false), ("*", "smtp", false), ("", "smtp.example.com", false),
    ])
    func `A pattern covers names as clients compare them`(pattern: String, name: String, isCovered: Bool) {
        #expect(Judge.covers(pattern, name) == isCovered)
    }

    @Test func `Each way in which a certificate can't be used has its remedy`() throws {
        let error = #expect(throws: TLSConfigurationError.self) {
            try TLSServerContext(
                TLSConfiguration(identities: [
                    TLSIdentity(certificateChain: .file("/nowhere.pem"), privateKey: .file("/nowhere.key"))
                ]))
        }
        expect([Judge.certificate(unusable: try #require(error))], .problem, "/nowhere.pem", "doctor")
        expect([Judge.certificateNotSet], .problem, "tls.certificate", "fullchain.pem")
    }

    // MARK: Host name

    @Test func hostNames() throws {
        let own = try ["127.0.0.1", "::1", "192.0.2.7", "2001:db8::7"].map { try #require(IPAddress($0)) }
        func judge(_ name: String, _ addresses: String...) throws -> [Finding] {
            [Judge.hostname(name, .addresses(try addresses.map { try #require(IPAddress($0)) }), own: own)]
        }
        expect(try judge("mx.example.com", "192.0.2.7"), .ok, "192.0.2.7")
        expect(try judge("mx.example.com", "198.51.100.1", "2001:db8::7"), .ok, "198.51.100.1 and 2001:db8::7")
        expect(try judge("mx.example.com", "198.51.100.1"), .warning, "198.51.100.1", "load balancer")
        expect(try judge("mx.example.com", "127.0.1.1"), .ok, "127.0.1.1", "other machines")
        expect(try judge("mx.example.com", "::1"), .ok, "::1", "other machines")
        expect(try judge("mx", "192.0.2.7"), .warning, "fully qualified", "hostname")
        expect(try judge("localhost.localdomain", "127.0.0.1"), .warning, "fully qualified")
        expect(
            [Judge.hostname("mx.example.com", .failed("Name or service not known"), own: own)], .warning,
            "mx.example.com", "Name or service not known")
    }

    // MARK: Listeners

    private func listener(_ observation: ListenerObservation, known: [String] = ["aa", "bb"]) -> [Finding] {
        [Judge.listener("smtp://0.0.0.0:587", observation, known: known, now: now)]
    }

    @Test func listeners() {
        expect(listener(.works(.example())), .ok, "smtp://0.0.0.0:587", "TLS")
        expect(listener(.works(.example(fingerprint: "cc"))), .warning, "certificate", "systemctl restart")
        // If doctor can't read the certificate files, it can't compare them with the certificate that the listener
        // presents.
        expect(listener(.works(.example(fingerprint: "cc")), known: []), .ok)
        expect(listener(.works(.example(to: .zero)), known: []), .problem, "expired", "2026-11-24")
        expect(listener(.failed("Connection refused")), .problem, "Connection refused", "systemctl start")
        expect(listener(.mute("no answer")), .problem, "no answer", "ss -ltnp", "systemctl restart")
        expect(listener(.tlsFailed("no")), .problem, " TLS", "journalctl")
        expect(listener(.withoutSTARTTLS), .problem, "STARTTLS")
        expect(listener(.greeted("220 mx ESMTP Postfix")), .problem, "another program", "Postfix", "ss -ltnp")
        expect(listener(.greeted("421 4.7.0 Too many")), .warning, "421 4.7.0 Too many", "max_connections")
        expect(
            listener(.greeted("HTTP/1.1 503 Service Unavailable")), .warning, "503 Service Unavailable",
            "max_connections")
        expect(listener(.anyPort), .skipped, "smtp://0.0.0.0:587", "free port", " listen")
        expect(listener(.worksInClear), .ok, "smtp://0.0.0.0:587")
        #expect(!listener(.worksInClear).contains { $0.found.contains("TLS") })
        expect(listener(.takesBalancersOnly), .ok, "proxy_networks")
        expect([Judge.inheritedSockets("http.listen")], .skipped, "http.listen", "systemctl list-sockets")
    }

    // MARK: Database

    @Test func databases() {
        func judge(_ observation: DatabaseObservation) -> [Finding] { [Judge.database("/var/relay.db", observation)] }
        expect(judge(.opened(schema: 2, known: 2)), .ok, "/var/relay.db", "version 2")
        expect(judge(.opened(schema: 1, known: 2)), .warning, "version 1", " 2", "systemctl restart")
        expect(judge(.opened(schema: 3, known: 2)), .problem, "version 3", "newer relay")
        expect(judge(.missing), .problem, "/var/relay.db", "systemctl start", "--config")
        expect(judge(.failed(.corrupt("x"))), .problem, "damaged", "backup")
        expect(judge(.failed(.unavailable("Permission denied"))), .problem, "Permission denied", "as root")
        expect(judge(.failed(.full)), .problem, "full", "space")
    }

    @Test func integrity() {
        func judge(_ observation: IntegrityObservation) -> [Finding] {
            [Judge.integrity("/var/my relay.db", observation)]
        }
        expect(judge(.checked([])), .ok)
        expect(judge(.checked(["a", "b", "c", "d"])), .problem, "damaged", "a, b, c", "1 more", "backup")
        expect(
            judge(.unfinished(.seconds(10))), .skipped, "10 seconds",
            "sqlite3 -readonly '/var/my relay.db' 'PRAGMA quick_check'")
        expect(judge(.failed("disk I/O error")), .problem, "disk I/O error")
    }

    /// The owner and the group are 100 unless the test gives others.
    private func file(
        _ path: String, _ permissions: UInt32, owner: UInt32 = 100, group: UInt32 = 100
    ) -> FileStatus {
        FileStatus(path: path, owner: owner, group: group, permissions: permissions)
    }

    @Test func permissions() {
        func judge(_ directory: FileStatus, _ files: FileStatus...) -> [Finding] {
            Judge.permissions(directory: directory, files: files, user: "relay")
        }
        let directory = file("/d", 0o755)
        #expect(judge(directory, file("/d/db", 0o600), file("/d/db.spool", 0o700)).isEmpty)
        expect(
            judge(directory, file("/d/db", 0o644), file("/d/db-wal", 0o604)), .warning, "/d/db", "/d/db-wal",
            "chmod o-rwx /d/db /d/db-wal")
        // Other users can't enter the directory.
        #expect(judge(file("/d", 0o750), file("/d/db", 0o644)).isEmpty)
        expect(judge(directory, file("/d/db", 0o600, owner: 0, group: 0)), .problem, "relay", "chown relay: /d/db")
        expect(judge(directory, file("/d/db", 0o400)), .problem, "chown relay: /d/db")
        #expect(judge(directory, file("/d/db", 0o660, owner: 0)).isEmpty)
        expect(judge(directory, file("/d/db", 0o640, owner: 0)), .problem, "chown relay: /d/db")
        let linked = Judge.permissions(directory: directory, files: [], links: ["/d/db"], user: "relay")
        #expect(linked.map(\.outcome) == [.warning])
        #expect(linked.allSatisfy { !($0.remedy ?? "").contains("chown") })
        // If root owns the directory, root is the relay's user, and root may do everything.
        #expect(judge(file("/d", 0o755, owner: 0, group: 0), file("/d/db", 0o600)).isEmpty)
        #expect(
            judge(directory, file("/d/db", 0o606, owner: 0, group: 0)).map(\.outcome) == [.warning])
    }

    @Test func `What the relay's user can't read is found`() {
        func judge(_ file: FileStatus, _ directories: FileStatus..., groups: [UInt32] = [100]) -> [Finding] {
            let reader = Account(name: "relay", id: 100, groups: groups)
            return [Judge.reach(.certificate, file, through: directories, by: reader)].compactMap(\.self)
        }
        let (directory, key) = (file("/tls", 0o750, owner: 0), file("/tls/key", 0o640, owner: 0))
        #expect(judge(key, directory).isEmpty)
        #expect(judge(file("/tls/key", 0o644, owner: 0, group: 0), file("/tls", 0o711, owner: 0, group: 0)).isEmpty)
        #expect(judge(key, directory, groups: [7, 100]).isEmpty)
        // If the relay's user can't enter a directory, the finding names it in addition to the file.
        func namesDirectory(_ findings: [Finding]) -> Bool {
            findings.contains { $0.found.replacing("/tls/key", with: "").contains("/tls") }
        }
        let outside = judge(key, directory, groups: [7])
        expect(outside, .warning, "relay", "/tls/key", "-o relay /tls/key")
        #expect(namesDirectory(outside))
        let closedFile = judge(file("/tls/key", 0o600, owner: 0), directory)
        expect(closedFile, .warning, "relay", "/tls/key")
        #expect(!namesDirectory(closedFile))
        let closedDirectory = judge(key, file("/", 0o755, owner: 0), file("/tls", 0o700, owner: 0))
        expect(closedDirectory, .warning, "/tls/key")
        #expect(namesDirectory(closedDirectory))
        // The owner of a file has the owner's permissions only, not those of the group or of others.
        expect(judge(file("/tls/key", 0o077)), .warning, "/tls/key")
        let root = Account(name: "root", id: 0, groups: [0])
        #expect(Judge.reach(.certificate, file("/k", 0o000), through: [], by: root) == nil)
    }

    @Test(arguments: [
        (Int64(50_000_000_000), Int64(100_000_000_000), Finding.Outcome.ok, "50 GB (50 %)"),
        (5_000_000_000, 100_000_000_000, .ok, "5.0 GB (5 %)"),
        (4_900_000_000, 100_000_000_000, .warning, "4.9 GB (4 %)"),
        (1_000_000_000, 2_000_000_000, .ok, "1.0 GB (50 %)"), (999_999_999, 2_000_000_000, .warning, "999 MB"),
        (63_000_000, 100_000_000, .problem, "63 MB (63 %)"), (0, 0, .problem, "0 MB (0 %)"),
    ])
    func disks(free: Int64, total: Int64, outcome: Finding.Outcome, words: String) {
        expect([Judge.disk("/var", free: free, total: total, storage: .unlimited)], outcome, words)
    }

    /// The space that `storage.reserve` and `storage.reserve_test` keep free counts as well.
    @Test(
        arguments: [
            (Int64(2_000_000_000), Finding.Outcome.ok, "2.0 GB", []),
            (1_999_999_999, .warning, "1.9 GB", ["storage.reserve_test"]),
            (1_000_000_000, .warning, "1.0 GB", ["storage.reserve_test"]),
            (999_999_999, .problem, "999 MB", ["storage.reserve"]), (1, .problem, "0 MB", ["storage.reserve"]),
        ] as [(Int64, Finding.Outcome, String, [String])])
    func disksWithReserves(free: Int64, outcome: Finding.Outcome, amount: String, settings: [String]) {
        let storage = StoragePolicy(reserve: 1_000_000_000, reserveTest: 2_000_000_000)
        let finding = Judge.disk("/var", free: free, total: 4_000_000_000, storage: storage)
        expect([finding], outcome, amount)
        #expect(finding.found.matches(of: /storage\.[a-z_]+/).map { String($0.output) } == settings)
    }

    // MARK: Queue and keys

    @Test func queues() {
        func judge(_ depths: [QueueStatus.Depth], _ lanes: [LaneStatus] = []) -> [Finding] {
            Judge.queue(QueueStatus(depths: depths, lanes: lanes, emailsToday: [:]), now: now)
        }
        func depth(_ state: DeliveryState, _ age: Duration?) -> QueueStatus.Depth {
            QueueStatus.Depth(lane: .live, state: state, deliveries: 3, oldest: age.map { now - $0 })
        }
        func lane(_ reason: String?) -> LaneStatus {
            LaneStatus(lane: .live, heldBecause: reason, since: now - .seconds(7200), rate: nil)
        }
        expect(judge([], [lane(nil)]), .ok, "empty")
        expect(judge([depth(.queued, .seconds(3600))]), .ok, "3 live queued")
        expect(judge([depth(.queued, .seconds(3601))]), .warning, "60 minutes", "messages list --state queued")
        // The operator has held these deliveries, so their age is no reason for a warning.
        expect(judge([depth(.held, days(9))]), .ok, "3 live held")
        expect(judge([depth(.queued, nil)]), .ok)
        // Deliveries that wait for their scheduled time are no reason for a warning, however long they wait.
        let scheduled = QueueStatus.Scheduled(lane: .live, deliveries: 2, next: now + .seconds(9000))
        let waiting = QueueStatus(depths: [], scheduled: [scheduled], lanes: [], emailsToday: [:])
        expect(Judge.queue(waiting, now: now), .ok, "2 live scheduled")
        expect(judge([], [lane("paused: answer AWS")]), .problem, "live", "2 hours", "paused: answer AWS")
        func lanes(_ names: String...) -> [LaneStatus] {
            names.map { name in
                LaneStatus(
                    lane: .live, heldBecause: name == "gw1" ? "paused" : nil, since: now - .seconds(60), rate: nil,
                    node: name)
            }
        }
        // If there is only one relay, the finding does not name it.
        expect(judge([], lanes("gw1")), .problem, "live", "paused")
        #expect(!judge([], lanes("gw1")).contains { $0.found.contains("gw1") })
        expect(judge([], lanes("gw1", "gw2")), .problem, "live", "gw1", "paused")
        expect(judge([], lanes("gw2", "gw3")), .ok, "empty")
    }

    @Test func standing() throws {
        func judge(_ counts: FeedbackCounts, _ environment: Environment = .live) throws -> [Finding] {
            var usage = KeyUsage()
            usage.feedback = counts
            return Judge.standing([KeyRecord(key: try .example("Ab3dE6gH", environment), usage: usage)])
        }
        #expect(try judge(.init(deliveries: 50, bounces: 9, hardBounces: 9)).isEmpty)
        #expect(try judge(.init(deliveries: 500, bounces: 99, hardBounces: 99), .test).isEmpty)
        expect(
            try judge(.init(deliveries: 999, bounces: 1, hardBounces: 1)), .ok, "0.10 % bounce", " 0 % complaint")
        expect(
            try judge(.init(deliveries: 900, bounces: 100, hardBounces: 100)), .warning,
            "10 %", "bounce", "Ab3dE6gH", "5 %")
        expect(try judge(.init(deliveries: 1000, complaints: 2)), .warning, "0.20 %", "spam", "0.1 %")
    }

    @Test func keys() throws {
        func judge(_ keys: Key...) -> [Finding] { Judge.keys(keys, now: now) }
        expect(judge(), .warning, "no API key", "keys create")
        expect(judge(try .example(domains: ["example.com"]), try .example("BBBBBBBB", .test)), .ok, "1 live, 1 test")
        let open = judge(try .example())
        expect(open, .ok, "any domain", "Ab3dE6gH")
        let soon = judge(try .example(domains: ["a.example"], expiresAt: now + days(3)))
        #expect(soon.map(\.outcome) == [.warning, .ok])
        #expect(soon[0].found.contains("3 days"))
        let ended = judge(try .example(expiresAt: now))
        #expect(ended.map(\.outcome) == [.warning, .ok])
        #expect(ended[0].remedy?.contains("keys revoke Ab3dE6gH") == true)
        #expect(ended[1].found.contains("0 live, 0 test"))
        #expect(!ended[1].found.contains("Ab3dE6gH"))
    }

    @Test func `What live keys send from`() throws {
        let held = try Key.example("AAAAAAAA", domains: ["example.com", "*.example.com", "*.shop.example"])
        let free = try Key.example("BBBBBBBB")
        let batch = try Key.example("GGGGGGGG", domains: ["batch.example"], scopes: [.batch])
        let keys = [
            held, free, batch, try .example("CCCCCCCC", .test, domains: ["test.example"]),
            try .example("DDDDDDDD", domains: ["mute.example"], scopes: []),
            try .example("EEEEEEEE", domains: ["old.example"], expiresAt: now),
            try .example("FFFFFFFF", domains: ["gone.example"], revokedAt: now),
        ]
        let live = Judge.liveKeys(keys, now: now)
        #expect(live.map(\.id) == [held.id, free.id, batch.id])
        let senders = [
            held.id: ["a@unused.example"],
            free.id: ["a@B.example", "c@b.example", "\"x@y\"@d.example", "a@[192.0.2.1]", "nobody", "a@example.com"],
        ]
        #expect(
            Judge.domains(of: live, senders: senders) == [
                "example.com", "shop.example", "b.example", "d.example", "batch.example",
            ])
        #expect(Judge.domains(of: [free], senders: [:]).isEmpty)
        #expect(Judge.domains(of: [free], senders: [:], bouncesFrom: "b@Relay.example") == ["relay.example"])
    }

    // MARK: Settings

    @Test func settings() {
        expect(Judge.settings(file: nil, mistakes: []), .ok, "defaults")
        expect(Judge.settings(file: "/etc/r.yaml", mistakes: []), .ok, "/etc/r.yaml")
        let places: [(SettingsMistake.Place, [String])] = [
            (.file("/etc/r.yaml", line: 3, column: 1), ["line 3", "/etc/r.yaml", "hiveku-relay config check"]),
            (.file("/etc/r.yaml", line: nil, column: nil), ["/etc/r.yaml", "--config"]),
            (.environment("HIVEKU_RELAY_X"), ["HIVEKU_RELAY_X"]),
        ]
        for (place, remedy) in places {
            let found = Judge.settings(file: "/etc/r.yaml", mistakes: [SettingsMistake(place, "x", "is wrong")])
            expect(found, .problem, "is wrong")
            for part in remedy { #expect(found.first?.remedy?.contains(part) == true) }
        }
        #expect(Judge.withoutSettings.map(\.subject) == Array(Finding.Subject.allCases.dropFirst()))
    }
}
