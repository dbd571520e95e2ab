import Admission
import Delivery
import Listening
import NIOOpenSSL
import PrometheusMetrics
import RelayCore
import SMTPServer
import TestSupport
import Testing

@testable import Telemetry

/// What each event adds to the metrics.
@Suite struct MetricsTests {
    private let metrics = RelayMetrics(version: "1.2")

    /// The lines of the metrics that events have changed. Lines with 0 or NaN, and the build's line, are left out.
    private func counted() -> [String] {
        metrics.registry.exposition().split(separator: "\n").map(String.init).filter { line in
            !line.hasPrefix("#") && !line.hasSuffix(" 0") && !line.hasSuffix(" NaN") && !line.contains("build_info")
        }.map { String($0.dropFirst("hiveku_relay_".count)) }
    }

    @Test(arguments: [
        (SMTPEvent.connected(.startTLS), #"connections_total{tls="starttls"} 1"#),
        (.connected(.implicitTLS), #"connections_total{tls="implicit"} 1"#),
        (.connectionRefused(.all), #"connections_refused_total{limit="total"} 1"#),
        (.connectionRefused(.client), #"connections_refused_total{limit="client"} 1"#),
        (.connectionRefused(.site), #"connections_refused_total{limit="site"} 1"#),
        (.secured(.tls13, resumed: true), #"tls_handshakes_total{resumed="true",version="TLSv1.3"} 1"#),
        (.secured(.tls12, resumed: false), #"tls_handshakes_total{resumed="false",version="TLSv1.2"} 1"#),
        (.tlsFailed(.handshakeFailed), #"tls_failures_total{reason="handshakeFailed"} 1"#),
        (.tlsFailed(.notTLS), #"tls_failures_total{reason="notTLS"} 1"#),
        (.timedOut(.content), #"connection_timeouts_total{waited_for="content"} 1"#),
    ])
    func smtp(event: SMTPEvent, line: String) {
        metrics.observe(event)
        #expect(counted() == [line])
    }

    @Test(arguments: [
        (Admission.Event.authenticationRefused(.keyUnknown), #"authentications_total{result="key-unknown"} 1"#),
        (.refused(.rateDay), #"refusals_total{reason="rate-day"} 1"#),
    ])
    func admission(event: Admission.Event, line: String) {
        metrics.observe(event)
        #expect(counted() == [line])
    }

    @Test func authentications() throws {
        metrics.observe(.authenticated(try #require(KeyID("AAAAAAAA")), client: IPAddress(ipv4: 1)))
        #expect(counted() == [#"authentications_total{result="ok"} 1"#])
    }

    @Test func delays() {
        metrics.observe(Admission.Event.slowedDown(.milliseconds(300)))
        #expect(counted().contains(#"rate_delay_seconds_bucket{le="0.5"} 1"#))
        #expect(counted().contains("rate_delay_seconds_sum 0.3"))
    }

    @Test func commits() {
        metrics.observe(.committed(messages: 3, seconds: 0.002))
        metrics.synced(seconds: 0.001)
        let lines = counted()
        #expect(lines.contains(#"commit_messages_bucket{le="4"} 1"#) && lines.contains("commit_messages_sum 3"))
        #expect(lines.contains(#"commit_seconds_bucket{le="0.0025"} 1"#))
        #expect(lines.contains(#"sync_seconds_bucket{le="0.001"} 1"#))
    }

    @Test func storage() {
        metrics.observe(Admission.Event.storageFailed(StoreError.full))
        #expect(counted() == ["storage_failures_total 1"])
    }

    private func delivery(_ lane: Lane) throws -> ClaimedDelivery {
        ClaimedDelivery(
            id: DeliveryID(rawValue: 1), message: try #require(MessageID(rawValue: 1)),
            key: try #require(KeyID("AAAAAAAA")), lane: lane,
            envelope: Envelope(reversePath: nil, recipients: ["a@example.net", "b@example.net"]), size: 10,
            queuedSince: Timestamp(milliseconds: 1000), attempts: 0, maybeDuplicate: false)
    }

    private func settlement(_ result: Settlement.Result) -> Settlement {
        Settlement(
            delivery: DeliveryID(rawValue: 1), result: result, startedAt: Timestamp(milliseconds: 2000),
            finishedAt: Timestamp(milliseconds: 3000))
    }

    @Test func deliveries() throws {
        metrics.observe(.ended(try delivery(.live), settlement(.sent(sesMessageID: "x"))))
        metrics.observe(.ended(try delivery(.test), settlement(.failed)))
        metrics.observe(.retried(try delivery(.test), settlement(.retry(at: Timestamp(milliseconds: 9)))))
        let lines = counted()
        #expect(lines.contains(#"deliveries_total{lane="live",outcome="sent"} 1"#))
        #expect(lines.contains(#"deliveries_total{lane="test",outcome="failed"} 1"#))
        #expect(lines.contains(#"deliveries_total{lane="test",outcome="retried"} 1"#))
        #expect(lines.contains(#"emails_sent_total{lane="live"} 2"#))
        #expect(lines.contains(#"delivery_delay_seconds_sum{lane="live"} 2"#))
        #expect(!lines.contains { $0.hasPrefix(#"emails_sent_total{lane="test"}"#) })
    }

    @Test func heldLanes() {
        let cause = DeliveryOutcome.Cause("AccountSuspended", "Ask AWS.")
        metrics.observe(.laneHeld(.live, cause))
        #expect(counted() == [#"lane_held{lane="live"} 1"#])
        metrics.observe(.laneResumed(.live))
        #expect(counted() == [])
        metrics.observe(.slowedDown(.live, rate: 5))
        #expect(counted() == ["ses_slowdowns_total 1"])
    }

    private struct SES: Transport, QuotaSource {
        var outcome: DeliveryOutcome
        var clock: ManualClock
        var executor: (any TaskExecutor)? = Inline()

        func send(_ delivery: ClaimedDelivery, body: any StoredBody) async -> DeliveryOutcome {
            clock.advance(.milliseconds(200))
            return outcome
        }

        func quota() async -> SendQuota? {
            SendQuota(maximumRate: 14, maximum24Hours: nil, sentLast24Hours: 7)
        }
    }

    /// Runs a job at once, on the thread that enqueues it.
    private final class Inline: TaskExecutor {
        func enqueue(_ job: consuming ExecutorJob) {
            UnownedJob(job).runSynchronously(on: asUnownedTaskExecutor())
        }
    }

    @Test("Measured calls run on the transport's executor") func executor() {
        let clock = ManualClock()
        let transport = MeasuredTransport(SES(outcome: .sent(sesMessageID: "x"), clock: clock), metrics, clock: clock)
        #expect(transport.executor is Inline)
    }

    private struct NoBody: StoredBody {
        var size: Int { 0 }
        func read(at offset: Int, count: Int) async throws -> [UInt8] { [] }
    }

    @Test(arguments: [
        (DeliveryOutcome.sent(sesMessageID: "x"), "sent"), (.failed(.init("w", "e")), "failed"),
        (.retry(.init("w", "e"), pace: .normal), "retry"), (.laneHeld(.init("w", "e"), alert: true), "held"),
    ])
    func callsOfSES(outcome: DeliveryOutcome, word: String) async throws {
        let clock = ManualClock()
        let transport = MeasuredTransport(SES(outcome: outcome, clock: clock), metrics, clock: clock)
        #expect(await transport.send(try delivery(.live), body: NoBody()) == outcome)
        let lines = counted()
        #expect(lines.contains(#"ses_request_seconds_count{outcome="\#(word)"} 1"#))
        #expect(lines.contains(#"ses_request_seconds_bucket{outcome="\#(word)",le="0.25"} 1"#))
        #expect(lines.contains("ses_emails_total 2"))
    }

    @Test func reportedQuotaIsMeasured() async {
        let clock = ManualClock()
        let transport = MeasuredTransport(SES(outcome: .sent(sesMessageID: "x"), clock: clock), metrics, clock: clock)
        #expect(await transport.quota()?.maximumRate == 14)
        #expect(
            counted() == [
                "ses_quota_24h_emails +Inf", "ses_quota_24h_used_emails 7", "ses_quota_emails_per_second 14",
            ])
    }
}
