import InternetMessage
import RelayCore

extension SubmissionOptions {
    /// Adds the options of the message's header, and checks all options against the rules.
    mutating func add(_ summary: HeaderSummary, at now: Timestamp) throws(Refusal) {
        tags = MessageTags.unique(tags + summary.tags)
        if let refusal = MessageTags.refusal(of: tags) { throw refusal }
        if scheduledAt == nil, let text = summary.scheduledAt {
            guard let time = Timestamp(rfc3339: text.utf8) ?? Timestamp(rfc5322: text.utf8) else {
                throw Refusal(
                    .invalid,
                    "The Hiveku-Scheduled-At field is not a valid date and time; write 2026-12-01T09:00:00Z or Tue, 1 Dec 2026 10:00:00 +0100"
                )
            }
            scheduledAt = time
        }
        if let scheduledAt, let refusal = Schedule.refusal(of: scheduledAt, at: now) { throw refusal }
    }
}
