import RelayCore

/// The report's text for people: which recipients the message did not reach, why, and what to do.
struct ReportText {
    private let report: NonDeliveryReport

    init(_ report: NonDeliveryReport) { self.report = report }

    /// The text. Its lines end with a line feed, and most have at most 76 characters.
    var text: String {
        let recipients = report.recipients
        let isOne = recipients.count == 1
        var text = """
            This is the mail relay at \(report.hostname).

            Your message could not be delivered to \(isOne ? "this recipient" : "these recipients"),
            and the relay does not try again:


            """
        for recipient in recipients.prefix(NonDeliveryReport.mostInText) {
            text += "  \(ForeignText.line(recipient.address, longest: 254))\n"
            if let said = SaidText.of(recipient, longest: report.diagnosticLimit) {
                text += "    \(ReportText.whose(recipient, isReply: said.isReply)): \(said.line)\n"
            }
        }
        if recipients.count > NonDeliveryReport.mostInText {
            text +=
                "  and \(recipients.count - NonDeliveryReport.mostInText) more, which the second part of this report names\n"
        }
        text += "\nThe message:\n\n"
        if let subject = report.message.subject { text += "  subject: \(ForeignText.line(subject, longest: 200))\n" }
        text += "  accepted: \(report.message.acceptedAt.rfc5322)\n  id at the relay: \(report.message.id)\n"
        text += "\nWhat to do:\n\n"
        for kind in [EventKind.failed, .rejected, .bounced, .suppressed]
        where recipients.contains(where: { ReportText.advised($0.kind) == kind }) {
            text += ReportText.advice(kind, report.message)
        }
        return text
    }

    private static func whose(_ recipient: UndeliveredRecipient, isReply: Bool) -> String {
        switch recipient.kind {
        case .bounced: isReply ? "the receiving server said" : "bounced"
        case .rejected: "Amazon SES rejected it"
        case .suppressed: "suppressed"
        default: "failed"
        }
    }

    /// The kinds for which there is advice.
    private static func advised(_ kind: EventKind) -> EventKind {
        switch kind {
        case .bounced, .rejected, .suppressed: kind
        default: .failed
        }
    }

    private static func advice(_ kind: EventKind, _ message: MessageRecord) -> String {
        switch kind {
        case .bounced:
            """
            - The receiving server refused the message. Check the address. If it
              does not exist any more, remove it where your application keeps it.

            """
        case .rejected:
            """
            - Amazon SES took the message and refused its content, most often for a
              virus in an attachment. Send it again without that attachment.

            """
        case .suppressed:
            """
            - An address is on the relay's list of suppressed addresses: mail to it
              bounced permanently, its owner complained, or an operator put it there.
              If it works again, an operator takes it off the list:
              hiveku-relay suppressions remove --environment \(message.environment.rawValue) ADDRESS

            """
        default:
            """
            - The relay could not hand the message to Amazon SES, for the reason above.
              Once that is corrected, an operator can send it again:
              hiveku-relay messages retry \(message.id)

            """
        }
    }
}
