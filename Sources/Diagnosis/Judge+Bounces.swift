extension Judge {
    /// Judges whether senders get reports of failures by mail.
    ///
    /// - Parameters:
    ///   - from: the address that reports come from; nil if there are none.
    ///   - hearsEvents: whether the relay receives SES's events.
    public static func bounces(from: String?, forEvents: Bool, hearsEvents: Bool) -> [Finding] {
        guard let from else {
            return [
                .ok(
                    .bounces,
                    "bounces.from is not set: failures are not reported by mail, so applications that speak only SMTP do not learn of them"
                )
            ]
        }
        let what = forEvents ? "failures and of bounces" : "failures"
        let told = Finding.ok(.bounces, "envelope senders are told of \(what) by mail from \(from)")
        guard forEvents, !hearsEvents else { return [told] }
        return [
            told,
            .warning(
                .bounces,
                "bounces.for_events is true, but feedback.queue_url is not set: the relay receives no bounces of live mail",
                remedy: feedbackSetup),
        ]
    }
}
