/// A reason why an email can't be composed, or why its message would be refused: the place of the mistake, and what to
/// change.
public struct EmailDefect: Hashable, Sendable {
    /// The value of the ``Email`` that must be changed.
    public enum Place: Hashable, Sendable {
        case from
        /// All of ``Email/to``, which is empty.
        case recipients
        /// The mailbox at this index of ``Email/to``, counted from 0. The cases for Cc, Bcc and Reply-To have such an
        /// index too.
        case to(Int)
        case cc(Int)
        case bcc(Int)
        case replyTo(Int)
        case subject
        /// ``Email/text`` and ``Email/html``, which are both missing.
        case body
        case text
        case html
        /// All of ``Email/attachments``, which are too many.
        case attachments
        /// A value of the attachment at this index, counted from 0.
        case attachment(Int, AttachmentValue)
        /// All of ``Email/headers``, which are too many.
        case headers
        /// The field of ``Email/headers`` with this name, as it was given. The name may contain any text.
        case header(String)
        /// The header section that all values form together.
        case headerSection
    }

    /// The values of an attachment.
    public enum AttachmentValue: Hashable, Sendable {
        case filename, contentType, contentID
    }

    /// Where the mistake is.
    public var place: Place
    /// A plain ASCII sentence, without a full stop, that says what to change. It quotes nothing of the email.
    public var explanation: String

    public init(_ place: Place, _ explanation: String) {
        self.place = place
        self.explanation = explanation
    }
}
