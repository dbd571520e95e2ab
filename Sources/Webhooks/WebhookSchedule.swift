import AWSClient
import RelayCore

/// The result of an attempt at a call.
enum WebhookResult: Hashable, Sendable {
    /// - retryAfter: the field Retry-After as it was received.
    /// - excerpt: the beginning of the body.
    case answered(status: Int, retryAfter: String?, excerpt: String)
    /// There was no response. The text is a sentence without its full stop.
    case failed(String)

    var isSuccess: Bool { if case .answered(let status, _, _) = self { 200...299 ~= status } else { false } }

    var status: Int? { if case .answered(let status, _, _) = self { status } else { nil } }

    /// The text for the record.
    var response: String {
        switch self {
        case .answered(_, _, let excerpt): excerpt
        case .failed(let reason): reason
        }
    }

    /// When the receiver wants to be called again; nil if it says nothing that can be read.
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

/// Decides when a call is attempted again, and when it is given up.
enum WebhookSchedule {
    /// The pause after the first attempt. It doubles with each further attempt.
    static let first = Duration.seconds(30)
    /// Each pause is longer or shorter by up to this share, so that calls that failed together are not retried
    /// together.
    static let jitter = 0.2

    /// - Parameter random: at least 0 and below 1.
    static func verdict(
        on result: WebhookResult, of call: WebhookCall, at now: Timestamp, random: Double
    ) -> WebhookAttempt.Verdict {
        if result.isSuccess { return .delivered }
        if result.status == 410 { return .gone }
        let deadline = call.createdAt + Webhook.timeout
        // If the relay was down until the call's time was over, the first attempt comes after that. If it fails, the
        // call still gets a second attempt.
        if now >= deadline, call.attempts > 0 { return .failed }
        let pause = first.inSeconds * Double(1 << min(max(call.attempts, 0), 16))
        var due = now + .milliseconds(Int64(pause * (1 - jitter + 2 * jitter * random) * 1000))
        if let asked = result.retryAfter(from: now) { due = max(due, asked) }
        // The last attempt is made when the time is up, not hours before.
        return .retry(at: now < deadline ? min(due, deadline) : min(due, now + first * 2))
    }
}
