import RelayCore
import Testing

@testable import Settings

@Suite struct RevisionTests {
    /// For every setting, a value that differs from its default.
    private static let other = """
        hostname: other.example.com
        database: postgresql://db.example.com/relay
        database_replica: required
        listen: ["smtp://127.0.0.1:2525"]
        proxy_networks: [192.0.2.7]
        http: { listen: ["https://127.0.0.1:8443"], trusted_proxies: [192.0.2.8] }
        tls: { certificate: [a.pem], private_key: [a.key], minimum_version: "1.3", compatibility: old-devices }
        submission:
          max_message_size: 1 MiB
          max_recipients: 7
          max_connections: 8
          max_connections_per_client: 9
          idle_timeout: 10s
          auth_timeout: 11s
          max_rate_delay: 12s
          plaintext_auth_networks: [192.0.2.0/24]
          long_lines: refuse
          refused_attachments: [ exe ]
          received_header: false
          detect_repeats: false
        ses:
          region: eu-west-1
          endpoint: https://ses.example.com
          configuration_set: set
          max_send_rate: 13
          concurrency: 14
          credentials_file: /etc/aws
          profile: relay
        feedback: { queue_url: "https://sqs.eu-west-1.amazonaws.com/1/q", region: eu-west-2, endpoint: "https://sqs.example.com" }
        bounces: { from: a@example.com, for_events: true }
        delivery: { retry_first: 15s, retry_max: 16m, give_up_after: 17h }
        retention: { sent: 18d, simulated: 19d, simulated_size: 21 MiB, failed: 20d }
        storage: { reserve: 22 MiB, reserve_test: 23 MiB }
        log: { level: debug, format: json }
        webhooks: { private_networks: [192.0.2.10] }
        metrics: { listen: "127.0.0.1:9465" }
        admin: { listen: "http://127.0.0.1:2581" }
        """
    private static let fixed: Set = [
        "database", "database_replica", "listen", "http.listen", "ses.region", "ses.endpoint", "ses.configuration_set",
        "ses.concurrency",
        "ses.credentials_file", "ses.profile", "feedback.queue_url", "feedback.region", "feedback.endpoint",
        "metrics.listen", "admin.listen",
    ]

    @Test func everySettingIsAppliedOrNamedAsNeedingARestart() throws {
        let names = RelaySettings.reference.map(\.name)
        let before = RelaySettings()
        let read = try RelaySettings.load(yaml: Self.other, file: "f", [:])
        let revision = before.revised(by: read)
        #expect(revision.changed == names.filter { !Self.fixed.contains($0) })
        #expect(revision.awaitingRestart == names.filter { Self.fixed.contains($0) })
        var expected = read
        expected.database = before.database
        expected.databaseReplica = before.databaseReplica
        expected.listen = before.listen
        expected.http.listen = before.http.listen
        expected.metrics = before.metrics
        expected.admin = before.admin
        expected.feedback = before.feedback
        expected.ses = before.ses
        expected.ses.maximumSendRate = .fixed(13)
        #expect(revision.settings == expected)
    }

    @Test func theSameSettingsChangeNothing() throws {
        let settings = try RelaySettings.load(yaml: Self.other, file: "f", [:])
        let revision = settings.revised(by: settings)
        #expect(revision.settings == settings)
        #expect(revision.changed.isEmpty && revision.awaitingRestart.isEmpty)
    }

    /// A changed setting that needs a restart is named at each reload, until the file again has the value that the
    /// relay runs with.
    @Test func settingsAwaitingARestartAreNamedAtEachReload() throws {
        let read = try RelaySettings.load(yaml: Self.other, file: "f", [:])
        let first = RelaySettings().revised(by: read)
        let second = first.settings.revised(by: read)
        #expect(second.changed.isEmpty && second.awaitingRestart == first.awaitingRestart)
        #expect(first.settings.revised(by: RelaySettings()).awaitingRestart.isEmpty)
    }
}
