/// A reason why an email can't be composed: where it is, and what to change.
public struct EmailDefect: Hashable, Sendable {
    /// The value of the ``Email`` that has to change.
    public enum Place: Hashable, Sendable {
        case from
        /// All of ``Email/to``: there is none.
        case recipients
        /// An element by its index from 0.
        case to(Int)
        case cc(Int)
        case bcc(Int)
        case replyTo(Int)
        case subject
        /// ``Email/text`` and ``Email/html`` together: both are missing.
        case body
        case text
        case html
        /// All of ``Email/attachments``: there are too many.
        case attachments
        /// A value of the attachment at an index from 0.
        case attachment(Int, AttachmentValue)
        /// All of ``Email/headers``: there are too many.
        case headers
        /// The field of ``Email/headers`` that has this name, as it is given. A name may hold anything.
        case header(String)
        /// The header section that all values make together.
        case headerSection
    }

    /// The values of an attachment.
    public enum AttachmentValue: Hashable, Sendable {
        case filename, contentType, contentID
    }

    public var place: Place
    /// A plain ASCII sentence that tells what to change, without final stop. It quotes nothing of the email.
    public var explanation: String

    public init(_ place: Place, _ explanation: String) {
        self.place = place
        self.explanation = explanation
    }
}
