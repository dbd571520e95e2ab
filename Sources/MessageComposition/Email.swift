import InternetMessage

/// An email as an application describes it: what is to be said, to whom, and in which form it is to be sent.
///
/// Values only. ``Email/defects()`` tells all that keeps it from being composed.
public struct Email: Sendable {
    public var from: Mailbox
    /// The envelope's recipients are those of `to`, `cc` and `bcc`, each once. `bcc` is not named in the message.
    public var to: [Mailbox]
    public var cc: [Mailbox]
    public var bcc: [Mailbox]
    public var replyTo: [Mailbox]
    public var subject: String
    public var text: String?
    public var html: String?
    public var attachments: [Attachment]
    /// Further fields of the header, in this order.
    public var headers: [HeaderField]

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

    /// A field of the header that the application gives by itself: name and value in Unicode.
    public struct HeaderField: Hashable, Sendable {
        public var name: String
        public var value: String

        public init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    /// A file that goes with the email.
    public struct Attachment: Sendable {
        public var filename: String
        /// A media type (RFC 2045 section 5); nil: by the ending of the file's name, or application/octet-stream.
        public var contentType: String?
        /// Without angle brackets. With one the file is part of what is shown (multipart/related), and `html` names it as `cid:`.
        public var contentID: String?
        public var content: Base64Text

        public init(filename: String, contentType: String? = nil, contentID: String? = nil, content: Base64Text) {
            self.filename = filename
            self.contentType = contentType
            self.contentID = contentID
            self.content = content
        }
    }
}

/// Octets in base64 (RFC 4648 section 4), as they came: checked, and not decoded.
public struct Base64Text: Sendable {
    /// Base64 digits and padding; white space between them is allowed.
    public let bytes: ArraySlice<UInt8>

    /// Takes what is base64; nil for anything else.
    public init?(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }
}

/// An address with the name of whom it belongs to.
public struct Mailbox: Hashable, Sendable {
    public var displayName: String?
    public var address: AddrSpec

    public init(displayName: String? = nil, address: AddrSpec) {
        self.displayName = displayName
        self.address = address
    }
}
