import InternetMessage

/// An email as an application describes it: who writes to whom, and what.
///
/// It holds values only. ``defects()`` tells everything that keeps it from being composed, and ``MessageComposer`` makes the
/// message of an email without defects.
public struct Email: Sendable {
    /// The author, for the From field (RFC 5322 section 3.6.2). The domain must be a name, not an address literal.
    public var from: Mailbox
    /// The recipients of the To field. At least one is needed.
    ///
    /// The envelope's recipients are those of `to`, `cc` and `bcc`, each once.
    public var to: [Mailbox]
    /// The recipients of the Cc field.
    public var cc: [Mailbox]
    /// Recipients that the message does not name.
    public var bcc: [Mailbox]
    /// Where answers go, for the Reply-To field. Empty: answers go to the author.
    public var replyTo: [Mailbox]
    /// The Subject field in Unicode, at most ``maximumSubjectLength`` octets of UTF-8. It may be empty.
    public var subject: String
    /// The text for readers that show no HTML. `text`, `html` or both are needed.
    ///
    /// Any of CRLF, CR and LF ends a line. A text whose last line has no line end gets one.
    public var text: String?
    /// The HTML. Line ends are as in ``text``.
    public var html: String?
    /// The files that go with the email, at most ``maximumAttachments``.
    public var attachments: [Attachment]
    /// Further fields of the header, in this order, at most ``maximumHeaders``.
    public var headers: [HeaderField]

    /// Takes the values as they are; ``defects()`` looks at them.
    public init(
        from: Mailbox, to: [Mailbox], cc: [Mailbox] = [], bcc: [Mailbox] = [], replyTo: [Mailbox] = [],
        subject: String, text: String? = nil, html: String? = nil, attachments: [Attachment] = [],
        headers: [HeaderField] = []
    ) {
        self.from = from
        self.to = to
        self.cc = cc
        self.bcc = bcc
        self.replyTo = replyTo
        self.subject = subject
        self.text = text
        self.html = html
        self.attachments = attachments
        self.headers = headers
    }

    /// Octets of the subject in UTF-8.
    public static let maximumSubjectLength = 4096
    /// Elements of ``attachments``.
    public static let maximumAttachments = 100
    /// Elements of ``headers``.
    public static let maximumHeaders = 100
    /// Octets of the composed header section with its empty line.
    ///
    /// It leaves room for the fields that the relay adds below its own limit of 256 KiB.
    public static let maximumHeaderSize = 240 * 1024

    /// A further field of the header: name and value in Unicode.
    public struct HeaderField: Hashable, Sendable {
        /// RFC 5322 section 3.6.8: printable ASCII without blank and colon, 1 to ``maximumNameLength`` octets. It must not be a
        /// field that the relay or another value of the email writes, such as From or Date.
        public var name: String
        /// At most ``maximumValueLength`` octets of UTF-8, without line ends and controls other than the tab.
        ///
        /// A value in ASCII is written as it is, folded at blanks only. The words of any other value that need it become
        /// encoded words (RFC 2047). Blanks at either end are left out.
        public var value: String

        /// Takes the values as they are; ``Email/defects()`` looks at them.
        public init(name: String, value: String) {
            self.name = name
            self.value = value
        }

        /// Octets of a name.
        public static let maximumNameLength = 76
        /// Octets of a value in UTF-8.
        public static let maximumValueLength = 8192
    }

    /// A file that goes with the email.
    public struct Attachment: Sendable {
        /// The name that the recipient sees: 1 to ``maximumFilenameLength`` octets of UTF-8, without path,
        /// controls and `=?`.
        public var filename: String
        /// A media type (RFC 2045 section 5), parameters included. Nil: the ending of the file's name tells the type, or else
        /// it is application/octet-stream. A type multipart/… or message/… is refused.
        public var contentType: String?
        /// The identifier by which the HTML shows the file as `cid:…` (RFC 2392), without angle brackets.
        ///
        /// A file that has one is part of what is shown: it stands beside the HTML in a multipart/related.
        public var contentID: String?
        /// The octets of the file.
        public var content: Base64Text

        /// Takes the values as they are; ``Email/defects()`` looks at them.
        public init(filename: String, contentType: String? = nil, contentID: String? = nil, content: Base64Text) {
            self.filename = filename
            self.contentType = contentType
            self.contentID = contentID
            self.content = content
        }

        /// Octets of a file's name in UTF-8: what file systems take.
        public static let maximumFilenameLength = 255
        /// Octets of a content type with its parameters.
        public static let maximumContentTypeLength = 255
        /// Octets of a content identifier.
        public static let maximumContentIDLength = 200
    }
}
