import NIOOpenSSL
import RelayCore
import Synchronization
import TestSupport
import Testing

@testable import Telemetry

@Suite struct MetricsPageTests {
    private let clock = ManualClock()

    private func page(
        limit: Duration = .seconds(60), certificates: @escaping @Sendable () -> [TLSCertificateInfo] = { [] },
        queue: @escaping @Sendable () async throws -> QueueStatus
    ) -> MetricsPage {
        MetricsPage(
            RelayMetrics(version: "1"),
            [
                .queue(queue), .webhooks { (5, 2) }, .openConnections { 3 }, .certificates(certificates),
                .disk { DiskSpace(size: 100, free: 40) },
            ], clock: clock, limit: limit)
    }

    private static func status(_ deliveries: Int, oldest: Timestamp? = nil) -> QueueStatus {
        QueueStatus(
            depths: [.init(lane: .live, state: .queued, deliveries: deliveries, oldest: oldest)],
            scheduled: [.init(lane: .live, deliveries: 3, next: Sample.now)],
            lanes: [LaneStatus(lane: .live, heldBecause: nil, since: Sample.now, rate: 13.5)], emailsToday: [:])
    }

    private func values(_ text: String, _ name: String) -> [String] {
        text.split(separator: "\n").filter { $0.hasPrefix("hiveku_relay_\(name)") }
            .map { String($0.dropFirst("hiveku_relay_\(name)".count)) }
    }

    @Test func currentStateIsShown() async {
        let began = clock.now()
        clock.advance(.seconds(90))
        let text = await page { Self.status(7, oldest: began) }.text()
        #expect(
            values(text, "queue_deliveries{lane=\"live\"") == [
                ",state=\"held\"} 0", ",state=\"queued\"} 7", ",state=\"scheduled\"} 3", ",state=\"sending\"} 0",
            ])
        #expect(values(text, "queue_oldest_age_seconds{lane=\"live\",state=\"queued\"}") == [" 90"])
        #expect(values(text, "queue_deliveries{lane=\"test\",state=\"queued\"}") == [" 0"])
        #expect(values(text, "ses_rate_allowed_emails_per_second") == [" 13.5"])
        #expect(values(text, "store_up") == [" 1"])
        #expect(values(text, "connections_open") == [" 3"])
        #expect(values(text, "webhook_calls_waiting") == [" 5"] && values(text, "webhooks_disabled ") == ["2"])
        #expect(values(text, "disk_free_bytes") == [" 40"] && values(text, "disk_size_bytes") == [" 100"])
    }

    @Test func slowQueueCountIsCachedLonger() async {
        let counts = Atomic(0)
        let clock = clock
        let page = page {
            // The count takes a tenth of a second.
            clock.advance(.milliseconds(100))
            return Self.status(counts.add(1, ordering: .relaxed).newValue)
        }
        let shown = { await values(page.text(), "queue_deliveries{lane=\"live\",state=\"queued\"}").first }
        #expect(await shown() == " 1")
        clock.advance(.milliseconds(4_900))
        #expect(await shown() == " 1")
        clock.advance(.milliseconds(200))
        #expect(await shown() == " 2")
    }

    @Test func databaseFailureHidesNoOtherMetrics() async {
        let text = await page { throw StoreError.full }.text()
        #expect(values(text, "store_up") == [" 0"])
        #expect(values(text, "queue_deliveries{lane=\"live\",state=\"queued\"}") == [" NaN"])
        #expect(values(text, "ses_rate_allowed_emails_per_second") == [" NaN"])
        #expect(values(text, "connections_open") == [" 3"])
    }

    /// The database is asked only once. The page comes each time nevertheless.
    @Test func pageIsServedWhileTheDatabaseHangs() async {
        let gate = Gate()
        let page = page(limit: .milliseconds(1)) {
            await gate.pass()
            return Self.status(1)
        }
        for _ in 0..<3 { #expect(values(await page.text(), "store_up") == [" 0"]) }
        #expect(gate.arrivals == 1)
        gate.open()
    }

    @Test func replacedCertificatesAreShown() async {
        let kind = Mutex("RSA")
        let page = page(
            certificates: {
                [
                    TLSCertificateInfo(
                        source: "/etc/secret/path.pem", commonName: "mail.example.com", dnsNames: [], notBefore: 1,
                        notAfter: 1_800_000_000, keyType: kind.withLock { $0 }, isSelfSigned: false, intermediates: 0,
                        fingerprint: "")
                ]
            }, queue: { Self.status(0) })
        let text = await page.text()
        #expect(values(text, "certificate_expiry_timestamp_seconds") == ["{key_type=\"RSA\"} 1800000000"])
        #expect(!text.contains("secret") && !text.contains("example"))
        kind.withLock { $0 = "EC" }
        #expect(
            values(await page.text(), "certificate_expiry_timestamp_seconds") == ["{key_type=\"EC\"} 1800000000"])
    }
}
