import InternetMessage

/// An email as an application describes it: author, recipients and content.
///
/// It only holds values. ``defects()`` returns everything that prevents its composition. ``MessageComposer`` makes the
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
    /// The recipients that the message does not name.
    public var bcc: [Mailbox]
    /// Where replies go, for the Reply-To field. If it is empty, replies go to the author.
    public var replyTo: [Mailbox]
    /// The Subject field in Unicode, with at most ``maximumSubjectLength`` octets of UTF-8. It may be empty.
    public var subject: String
    /// The text for readers that show no HTML. At least one of `text` and `html` is needed.
    ///
    /// CRLF, CR and LF each end a line. If the last line of a text has no line end, it gets one.
    public var text: String?
    /// The HTML. Line ends are as in ``text``.
    public var html: String?
    /// The attached files, at most ``maximumAttachments``.
    public var attachments: [Attachment]
    /// The header fields that the application adds, in this order, at most ``maximumHeaders``.
    public var headers: [HeaderField]

    /// Takes the values unchecked. ``defects()`` checks them.
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

    /// The largest subject, in octets of UTF-8.
    public static let maximumSubjectLength = 4096
    /// The largest number of ``attachments``.
    public static let maximumAttachments = 100
    /// The largest number of ``headers``.
    public static let maximumHeaders = 100
    /// The largest header section after composition, in octets with its empty line.
    ///
    /// It leaves room for the fields that the relay adds, below the relay's own limit of 256 KiB.
    public static let maximumHeaderSize = 240 * 1024

    /// A header field that the application adds: name and value in Unicode.
    public struct HeaderField: Hashable, Sendable {
        /// The name: 1 to ``maximumNameLength`` octets of printable ASCII without blanks and colons (RFC 5322 section
        /// 3.6.8). It must not be a field that the relay or another value of the email writes, such as From or Date.
        public var name: String
        /// The value: at most ``maximumValueLength`` octets of UTF-8, without line ends and control characters other
        /// than the tab.
        ///
        /// A value in ASCII is written unchanged and folded only at blanks. In other values, the words that need
        /// encoding become encoded words (RFC 2047). Blanks at either end are dropped.
        public var value: String

        /// Takes the values unchecked. ``Email/defects()`` checks them.
        public init(name: String, value: String) {
            self.name = name
            self.value = value
        }

        /// The longest name in octets.
        public static let maximumNameLength = 76
        /// The longest value in octets of UTF-8.
        public static let maximumValueLength = 8192
    }

    /// An attached file.
    public struct Attachment: Sendable {
        /// The name that the recipient sees: 1 to ``maximumFilenameLength`` octets of UTF-8, without a path, control
        /// characters and `=?`.
        public var filename: String
        /// A media type (RFC 2045 section 5) with its parameters. If it is nil, the ending of the file's name
        /// determines the type. If that ending is not known, the type is application/octet-stream. The types
        /// multipart/… and message/… are refused.
        public var contentType: String?
        /// The identifier by which the HTML shows the file as `cid:…` (RFC 2392), without angle brackets.
        ///
        /// If the email has HTML, a file with an identifier is part of what the HTML shows: it is placed next to the
        /// HTML in a multipart/related. Without HTML, it is placed with the other files.
        public var contentID: String?
        /// The content of the file.
        public var content: Base64Text

        /// Takes the values unchecked. ``Email/defects()`` checks them.
        public init(filename: String, contentType: String? = nil, contentID: String? = nil, content: Base64Text) {
            self.filename = filename
            self.contentType = contentType
            self.contentID = contentID
            self.content = content
        }

        /// The longest file name in octets of UTF-8. This is the limit of file systems.
        public static let maximumFilenameLength = 255
        /// The longest content type, with its parameters, in octets.
        public static let maximumContentTypeLength = 255
        /// The longest content identifier in octets.
        public static let maximumContentIDLength = 200
    }
}
