extension Judge {
    /// Whether senders hear of failures by mail.
    ///
    /// - Parameters:
    ///   - from: from whom reports are; nil: there are none.
    ///   - hearsEvents: whether SES tells what becomes of messages.
    public static func bounces(from: String?, forEvents: Bool, hearsEvents: Bool) -> [Finding] {
        guard let from else {
            return [
                .ok(
                    .bounces,
                    "bounces.from is not set: no reports of failures by mail, so applications that speak only SMTP do not hear of them"
                )
            ]
        }
        let what = forEvents ? "failures and of bounces" : "failures"
        let told = Finding.ok(.bounces, "envelope senders hear of \(what) by mail from \(from)")
        guard forEvents, !hearsEvents else { return [told] }
        return [
            told,
            .warning(
                .bounces,
                "bounces.for_events is true, but feedback.queue_url is not set: the relay hears of no live bounces",
                remedy: feedbackSetup),
        ]
    }
}
