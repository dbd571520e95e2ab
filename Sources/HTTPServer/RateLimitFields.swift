import Admission
import HTTPTypes
import RelayCore

/// The number of emails that a key may still send, in the structured fields of draft-ietf-httpapi-ratelimit-headers.
///
/// There are two policies: "second" is the key's rate, and "day" is its daily cap, if it has one.
struct RateLimitFields: Hashable, Sendable {
    let policy: String
    let limit: String

    /// - Parameter usedToday: the emails of the current UTC day; nil if the key has no daily cap, or if they are not
    ///   known.
    init(_ standing: Admission.RateStanding, usedToday: Int?, at now: Timestamp) {
        let limits = standing.limits
        // Quotas are whole numbers: a rate below one per second becomes one in several seconds.
        let window = limits.perSecond >= 1 ? 1 : Int(min(1 / limits.perSecond, 1e9).rounded(.up))
        let quota = max(1, Int(min(limits.perSecond * Double(window), 1e15)))
        let remaining = max(0, Int(min(standing.available, 1e15).rounded(.down)))
        let wait = remaining == 0 ? standing.secondsUntilNext : standing.secondsUntilFull
        var policies = ["\"second\";q=\(quota);w=\(window)"]
        var states = ["\"second\";r=\(remaining);t=\(Int(min(wait, 1e9).rounded(.up)))"]
        if let cap = limits.perDay {
            policies.append("\"day\";q=\(cap);w=86400")
            if let usedToday {
                let reset = (now.day.next.start - now).secondsRoundedUp
                states.append("\"day\";r=\(max(0, cap - usedToday));t=\(reset)")
            }
        }
        policy = policies.joined(separator: ", ")
        limit = states.joined(separator: ", ")
    }

    func add(to fields: inout HTTPFields) {
        fields[.rateLimitPolicy] = policy
        fields[.rateLimit] = limit
    }
}
