import AWSClient
import RelayCore

/// How a try of a call ended.
enum WebhookResult: Hashable, Sendable {
    /// - retryAfter: the field Retry-After, as it came.
    /// - excerpt: the beginning of the body.
    case answered(status: Int, retryAfter: String?, excerpt: String)
    /// There was no answer; a sentence without its full stop.
    case failed(String)

    var isSuccess: Bool { if case .answered(let status, _, _) = self { 200...299 ~= status } else { false } }

    var status: Int? { if case .answered(let status, _, _) = self { status } else { nil } }

    /// For the record.
    var response: String {
        switch self {
        case .answered(_, _, let excerpt): excerpt
        case .failed(let reason): reason
        }
    }

    /// When the receiver wants to be called again; nil where it says nothing that can be read.
    func retryAfter(from now: Timestamp) -> Timestamp? {
        guard case .answered(_, let text?, _) = self else { return nil }
        // RFC 9110 section 10.2.3: seconds or a date.
        if !text.isEmpty, text.utf8.count <= 18, text.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), let seconds = Int64(text)
        {
            return now + .seconds(min(seconds, 10 * 86_400))
        }
        return HTTPDate.parse(text)
    }
}

/// When a call is tried again, and when it is given up.
enum WebhookSchedule {
    /// The pause after the first try; it doubles with each further one.
    static let first = Duration.seconds(30)
    /// Each pause is this share longer or shorter, so that what failed together does not come back together.
    static let jitter = 0.2

    /// - Parameter random: at least 0 and below 1.
    static func verdict(
        on result: WebhookResult, of call: WebhookCall, at now: Timestamp, random: Double
    ) -> WebhookAttempt.Verdict {
        if result.isSuccess { return .delivered }
        if result.status == 410 { return .gone }
        let deadline = call.createdAt + Webhook.patience
        // What had no try within its time, as the relay was down, gets a second one.
        if now >= deadline, call.attempts > 0 { return .failed }
        let pause = first.inSeconds * Double(1 << min(max(call.attempts, 0), 16))
        var due = now + .milliseconds(Int64(pause * (1 - jitter + 2 * jitter * random) * 1000))
        if let asked = result.retryAfter(from: now) { due = max(due, asked) }
        // The last try is made when the time is up, not hours before.
        return .retry(at: now < deadline ? min(due, deadline) : min(due, now + first * 2))
    }
}
