import RelayCore
import TestSupport
import Testing

@testable import Webhooks

@Suite("The schedule of retries") struct WebhookScheduleTests {
    private func verdict(
        _ result: WebhookResult, attempts: Int = 0, age: Duration = .zero, random: Double = 0.5
    ) -> WebhookAttempt.Verdict {
        WebhookSchedule.verdict(
            on: result, of: call(createdAt: Sample.now - age, attempts: attempts), at: Sample.now, random: random)
    }

    private func pause(_ verdict: WebhookAttempt.Verdict) -> Double? {
        if case .retry(let at) = verdict { (at - Sample.now).inSeconds } else { nil }
    }

    @Test("A status from 200 to 299 counts as delivered", arguments: [200, 201, 204, 299]) func delivered(status: Int) {
        #expect(verdict(.answered(status: status, retryAfter: nil, excerpt: "")) == .delivered)
    }

    @Test(
        "After these statuses a call is tried again, even after redirects",
        arguments: [199, 300, 301, 302, 307, 308, 400, 404, 409, 429, 500, 503])
    func retried(status: Int) {
        #expect(pause(verdict(.answered(status: status, retryAfter: nil, excerpt: ""))) == 30)
    }

    @Test("Calls without an answer are retried") func noAnswer() { #expect(pause(verdict(.failed("timed out"))) == 30) }

    @Test("410 means that the receiver is gone") func gone() {
        #expect(verdict(.answered(status: 410, retryAfter: nil, excerpt: "")) == .gone)
    }

    @Test("Pauses double, and vary by 20 %") func doubling() {
        #expect((0...6).map { pause(verdict(broken, attempts: $0)) } == [30, 60, 120, 240, 480, 960, 1920])
        #expect(pause(verdict(broken, random: 0)) == 24)
        #expect(pause(verdict(broken, random: 0.999_999)).map { $0 > 35.9 && $0 <= 36 } == true)
    }

    @Test("The last try is at 24 hours. After it, the call has failed") func end() {
        #expect(pause(verdict(broken, attempts: 11, age: .seconds(80_000))) == 6400)
        #expect(pause(verdict(broken, attempts: 60, age: .seconds(86_399))) == 1)
        #expect(verdict(broken, attempts: 12, age: .seconds(86_400)) == .failed)
        #expect(pause(verdict(broken, attempts: 0, age: .seconds(200_000))) == 30)
    }

    /// The test moves the time from try to try.
    @Test("A receiver that never works is tried for 24 hours") func course() {
        var now = Sample.now
        var tries = 0
        while true {
            let verdict = WebhookSchedule.verdict(on: broken, of: call(attempts: tries), at: now, random: 0.5)
            tries += 1
            guard case .retry(let at) = verdict else {
                #expect(verdict == .failed)
                break
            }
            now = at
        }
        #expect(tries == 13 && now == Sample.now + .seconds(86_400))
    }

    @Test(
        "Retry-After is obeyed, in seconds and as a date",
        arguments: [
            ("120", 120.0), ("0", 30), ("7", 30), ("999999999999999999", 86_400), ("-5", 30), ("soon", 30), ("", 30),
            ("Wed, 25 Nov 2026 12:10:00 GMT", 600), ("Wed, 25 Nov 2020 12:10:00 GMT", 30), ("1.5", 30),
        ]) func retryAfter(text: String, seconds: Double)
    {
        #expect(Sample.now.httpDate == "Wed, 25 Nov 2026 12:00:00 GMT")
        #expect(pause(verdict(.answered(status: 503, retryAfter: text, excerpt: ""))) == seconds)
    }
}
