/// Writes the header fields for author, recipients and subject, and the fields that the application adds. The fields
/// that describe the content are not included.
enum HeaderSectionWriter {
    /// Returns the fields, each with its line end. This section may be too large, but the email must have no other
    /// defect.
    static func octets(of email: Email) -> [UInt8] {
        var fields = FieldWriter()
        append(email, to: &fields)
        return fields.octets
    }

    static func append(_ email: Email, to fields: inout FieldWriter) {
        fields.field("From", mailboxes: [email.from])
        fields.field("To", mailboxes: email.to)
        if !email.cc.isEmpty { fields.field("Cc", mailboxes: email.cc) }
        if !email.replyTo.isEmpty { fields.field("Reply-To", mailboxes: email.replyTo) }
        fields.field("Subject", text: email.subject, isVerbatim: false)
        for header in email.headers { fields.field(header.name, text: header.value, isVerbatim: true) }
    }
}
