import MessageComposition
import StrictJSON

/// The places of an email's values in the document that it was read from.
///
/// Values that could not be read are not in the email, so the indices of the email are not those of the document.
struct EmailPlaces {
    var email: JSONPointer
    /// Where a mistake in the subject is reported if a template provides the subject. Nil if the request itself has it.
    var subject: JSONPointer?
    /// Where a mistake in a body is reported if a template provides the bodies. Nil if the request itself has them.
    var body: JSONPointer?
    var to: [JSONPointer]
    var cc: [JSONPointer]
    var bcc: [JSONPointer]
    var replyTo: [JSONPointer]
    var attachments: [JSONPointer]

    /// The email's defects as mistakes of the request, each with its place in the document.
    func mistakes(in email: Email) -> [ValidationError] {
        email.defects().map { defect in
            let kind: ValidationError.Kind = if case .recipients = defect.place { .recipients } else { .invalid }
            return ValidationError(defect.explanation + ".", at: pointer(of: defect.place), kind)
        }
    }

    private func pointer(of place: EmailDefect.Place) -> JSONPointer {
        switch place {
        case .from: email.appending("from")
        case .recipients: email.appending("to")
        case .to(let index): to[index]
        case .cc(let index): cc[index]
        case .bcc(let index): bcc[index]
        case .replyTo(let index): replyTo[index]
        case .subject: subject ?? email.appending("subject")
        // A mistake in the text is reported at the same place as a missing body.
        case .body, .text: body ?? email.appending("text")
        case .html: body ?? email.appending("html")
        case .attachments: email.appending("attachments")
        case .attachment(let index, let value): attachments[index].appending(name(of: value))
        case .headers: email.appending("headers")
        case .header(let name): EmailReader.place(of: JSONString(name), in: email.appending("headers"))
        case .headerSection: email
        }
    }

    private func name(of value: EmailDefect.AttachmentValue) -> String {
        switch value {
        case .filename: "filename"
        case .contentType: "content_type"
        case .contentID: "content_id"
        }
    }
}
