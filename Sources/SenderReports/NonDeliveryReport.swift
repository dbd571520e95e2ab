import InternetMessage
import MessageComposition
import RelayCore

/// A report to the sender of a message that did not reach some of its recipients. It is a multipart/report (RFC 6522)
/// with a text for people, a message/delivery-status for programs (RFC 3464) and the original's header.
///
/// A value: the same content makes the same octets.
///
/// Text from outside (replies of servers, the subject, the original's header) can't add a field or a part: it is on one
/// line and bounded, and the boundary does not occur in the original's header.
public struct NonDeliveryReport: Sendable {
    /// The author of the report.
    public var from: AddrSpec
    /// The envelope sender of the message.
    public var to: AddrSpec
    /// The relay's host name.
    public var hostname: String
    /// The id of the report itself: `<left@right>`.
    public var messageID: String
    /// The time of the report.
    public var date: Timestamp
    /// The message that was not delivered.
    public var message: MessageRecord
    /// The recipients that the message did not reach. At least one.
    public var recipients: [UndeliveredRecipient]
    /// Nil when the message's octets are no longer kept.
    public var original: OriginalHeader?
    /// The number that makes the boundary. It should be random.
    public var seed: UInt64

    public init(
        from: AddrSpec, to: AddrSpec, hostname: String, messageID: String, date: Timestamp, message: MessageRecord,
        recipients: [UndeliveredRecipient], original: OriginalHeader?, seed: UInt64
    ) {
        self.from = from
        self.to = to
        self.hostname = hostname
        self.messageID = messageID
        self.date = date
        self.message = message
        self.recipients = recipients
        self.original = original
        self.seed = seed
    }

    /// The subject of all reports. Filters and people know it.
    public static let subject = "Undelivered Mail Returned to Sender"
    /// The largest number of Unicode scalars of a server's reply in a report. Reports with many recipients use
    /// ``shortDiagnostic``, so that they stay below 1 MB.
    static let longestDiagnostic = 500
    static let shortDiagnostic = 100
    /// The largest number of recipients in the text for people. The part for programs names all of them.
    static let mostInText = 100

    /// The largest number of Unicode scalars of each reason.
    var diagnosticLimit: Int {
        recipients.count > NonDeliveryReport.mostInText
            ? NonDeliveryReport.shortDiagnostic : NonDeliveryReport.longestDiagnostic
    }

    /// The whole message, with CRLF at the end of each line and lines of at most 998 octets.
    public func octets() -> [UInt8] {
        let boundary = boundary()
        var fields = FieldWriter()
        fields.field("From", mailboxes: [Mailbox(displayName: "Mail Delivery System", address: from)])
        fields.field("To", mailboxes: [Mailbox(address: to)])
        fields.field("Subject", text: NonDeliveryReport.subject, isVerbatim: false)
        fields.field("Date", words: [date.rfc5322])
        fields.field("Message-ID", words: [messageID])
        if let id = original?.messageID {
            fields.field("In-Reply-To", words: [id])
            fields.field("References", words: [id])
        }
        // RFC 3834 section 5: programs must not answer the report.
        fields.field("Auto-Submitted", words: ["auto-replied"])
        fields.field("MIME-Version", words: ["1.0"])
        fields.field(
            "Content-Type", words: ["multipart/report;", "report-type=delivery-status;", "boundary=\"\(boundary)\""])
        fields.end()
        appendPart(ReportText(self).text, "text/plain", "Explanation", boundary, to: &fields)
        appendDelimiter(boundary, to: &fields)
        fields.field("Content-Type", words: ["message/delivery-status"])
        fields.field("Content-Description", words: ["Delivery report"])
        fields.end()
        appendStatus(to: &fields)
        if let original { appendHeader(original, boundary, to: &fields) }
        fields.octets += "--\(boundary)--\r\n".utf8
        return fields.octets
    }

    // MARK: Parts

    private func appendDelimiter(_ boundary: String, to fields: inout FieldWriter) {
        fields.octets += "--\(boundary)".utf8
        fields.end()
    }

    private func appendPart(
        _ text: String, _ type: String, _ description: String, _ boundary: String, to fields: inout FieldWriter
    ) {
        appendDelimiter(boundary, to: &fields)
        var lines = TextLines(text)
        fields.field("Content-Type", words: ["\(type);", "charset=utf-8"])
        fields.field("Content-Description", words: [description])
        fields.field("Content-Transfer-Encoding", words: [lines.encoding.rawValue])
        fields.end()
        while lines.append(upTo: fields.octets.count + 64 * 1024, to: &fields.octets) {}
    }

    /// Appends the header unchanged if it is ASCII. Otherwise its octets are encoded, and octets that are not UTF-8 are
    /// replaced.
    private func appendHeader(_ original: OriginalHeader, _ boundary: String, to fields: inout FieldWriter) {
        let description = "Header of the undelivered message"
        guard original.octets.allSatisfy({ $0 < 0x80 }) else {
            let text = String(decoding: original.octets, as: UTF8.self)
            return appendPart(text, "text/rfc822-headers", description, boundary, to: &fields)
        }
        appendDelimiter(boundary, to: &fields)
        fields.field("Content-Type", words: ["text/rfc822-headers"])
        fields.field("Content-Description", words: [description])
        fields.end()
        fields.octets += original.octets
        fields.end()
    }

    // MARK: message/delivery-status

    /// RFC 3464 section 2: the fields of the message, then a group of fields for each recipient.
    private func appendStatus(to fields: inout FieldWriter) {
        fields.field("Reporting-MTA", words: ["dns;", hostname])
        fields.field("Arrival-Date", words: [message.acceptedAt.rfc5322])
        fields.field("X-Hiveku-Relay-Message-ID", words: ["\(message.id)"])
        for recipient in recipients {
            fields.end()
            fields.field("Final-Recipient", text: "rfc822; \(recipient.address)", isVerbatim: false)
            fields.field("Action", words: ["failed"])
            fields.field("Status", words: ["\(DeliveryStatusCode(of: recipient))"])
            if let diagnostic = diagnostic(of: recipient) {
                fields.field("Diagnostic-Code", text: diagnostic, isVerbatim: false)
            }
            fields.field("Last-Attempt-Date", words: [recipient.at.rfc5322])
        }
        // The line end that belongs to the delimiter (RFC 2046 section 5.1.1).
        fields.end()
    }

    /// The diagnostic with the type of its text (RFC 3464 section 2.3.6): an SMTP reply, or a text of the relay or of
    /// SES.
    private func diagnostic(of recipient: UndeliveredRecipient) -> String? {
        guard let text = SaidText.of(recipient, longest: diagnosticLimit) else { return nil }
        return (text.isReply ? "smtp; " : "x-hiveku-relay; ") + text.line
    }

    // MARK: Boundary

    /// No line of quoted-printable or base64 can contain `=_`. The lines of the status begin with a field name or a
    /// blank. So only the original's header could contain the boundary.
    private func boundary() -> String {
        var number = seed
        while true {
            let boundary = "=_report_" + String(number, radix: 36)
            guard let original, original.octets.holds(Array(boundary.utf8)) else { return boundary }
            number &+= 1
        }
    }
}

/// What was reported about a recipient, on one line.
struct SaidText {
    let line: String
    /// Whether it is an SMTP reply (RFC 5321 section 4.2).
    let isReply: Bool

    /// Nil when nothing was reported.
    static func of(_ recipient: UndeliveredRecipient, longest: Int) -> SaidText? {
        guard let text = recipient.diagnostic ?? recipient.reason else { return nil }
        let line = withoutType(ForeignText.line(text, longest: longest))
        guard !line.isEmpty else { return nil }
        let start = Array(line.utf8.prefix(4))
        let isReply =
            start.count >= 3 && (start[0] == UInt8(ascii: "4") || start[0] == UInt8(ascii: "5"))
            && start[1...2].allSatisfy { (0x30...0x39).contains($0) }
            && (start.count == 3 || start[3] == UInt8(ascii: " ") || start[3] == UInt8(ascii: "-"))
        return SaidText(line: line, isReply: isReply)
    }

    /// Removes the type of a Diagnostic-Code field, with which SES passes on a server's reply.
    static func withoutType(_ text: String) -> String {
        text.prefix(5).lowercased() == "smtp;" ? String(text.dropFirst(5).drop { $0 == " " }) : text
    }
}

extension [UInt8] {
    fileprivate func holds(_ needle: [UInt8]) -> Bool {
        guard let first = needle.first, count >= needle.count else { return false }
        return indices.dropLast(needle.count - 1).contains { self[$0] == first && self[$0...].starts(with: needle) }
    }
}
