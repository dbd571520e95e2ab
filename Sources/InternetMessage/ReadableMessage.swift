/// A message as a person reads it: its header, its text, its HTML and its attachments.
///
/// It is read from the stored octets. Any octets give a result, so the message may be cut off anywhere. The time and
/// the memory that reading needs are proportional to the number of octets. This type does not affect what is sent:
/// ``MessagePreparation`` makes the message that SES gets.
public struct ReadableMessage: Sendable {
    /// A field of the header.
    public struct Field: Sendable, Hashable {
        /// The name as written.
        public var name: String
        /// The value on one line, with encoded words decoded and without control characters.
        public var value: String
    }

    /// HTML as received. It is not sanitised. Show it only where no script runs and nothing is loaded.
    public struct HTMLBody: Sendable, Hashable {
        /// The HTML. Where it names a small image of the message by `src="cid:…"`, the image itself is inserted as a
        /// `data:` URL.
        public var text: String
    }

    /// An attachment, or a part that the HTML shows.
    public struct Part: Sendable, Hashable {
        /// The name of the file, at most 255 characters. Nil when there is none.
        public var name: String?
        /// The type in lower case, such as `image/png`.
        public var type: String
        /// The size in octets after decoding.
        public var size: Int
        /// The Content-ID without angle brackets. Nil when there is none.
        public var contentID: String?
        /// Whether the message says that the part is an attachment, or the HTML does not show the part.
        public var isAttachment: Bool
    }

    /// How much of a message is read.
    public struct Limits: Sendable, Hashable {
        /// How many multiparts may be nested. A deeper multipart counts as a part without parts.
        public var depth = 20
        /// The largest number of parts.
        public var parts = 200
        /// The largest number of fields, at most 1,000.
        public var fields = EntityHeader.maximumFields
        /// The most characters (Unicode scalars) of a field's name, and of its value.
        public var fieldCharacters = 4000
        /// The most octets in UTF-8 of the text, and of the HTML without its images.
        public var textSize = 256 * 1024
        /// The largest number of images within the HTML. An image that is shown twice counts twice.
        public var images = 20
        /// The most octets of all images within the HTML.
        public var imageSize = 256 * 1024

        public init() {}
    }

    /// The header fields in the order of the message.
    public var fields: [Field] = []
    /// The first text/plain that is not an attachment. A multipart whose parts can't be found also counts as text.
    public var text: String?
    /// The first text/html that is not an attachment.
    public var html: HTMLBody?
    /// All other parts, in the order of the message.
    public var parts: [Part] = []
    /// Whether something was left out because of a limit. It does not show whether the octets themselves were cut off.
    public var isCutOff = false

    /// Reads a message. Any octets give a result.
    public init(_ octets: [UInt8], limits: Limits = Limits()) {
        var scanner = EntityScanner(octets, maximumDepth: limits.depth)
        var leaves: [EntityScanner.Leaf] = []
        var html: String?
        scanner.scan { leaf in
            let isText = leaf.isBrokenMultipart || leaf.content.type == "text/plain"
            if isText, text == nil, !leaf.content.isAttachment {
                text = body(leaf, of: octets, limits)
            } else if leaf.content.type == "text/html", html == nil, !leaf.content.isAttachment {
                html = body(leaf, of: octets, limits)
            } else if leaves.count < limits.parts {
                leaves.append(leaf)
            } else {
                isCutOff = true
            }
        }
        if scanner.isCutOff { isCutOff = true }
        readFields(scanner.header, of: octets, limits)
        let shown = html.map { showImages($0, of: leaves, octets, limits) } ?? []
        parts = leaves.enumerated().map { index, leaf in
            Part(
                name: leaf.content.fileName, type: leaf.content.type,
                size: leaf.content.encoding.decodedCount(octets[leaf.body]), contentID: leaf.content.contentID,
                isAttachment: leaf.content.isAttachment || !shown.contains(index))
        }
    }

    private mutating func body(_ leaf: EntityScanner.Leaf, of octets: [UInt8], _ limits: Limits) -> String {
        // A multipart has neither a defined encoding nor a defined charset (RFC 2045 section 6.4).
        let encoding = leaf.isBrokenMultipart ? .identity : leaf.content.encoding
        let (text, isCut) = ReadableText.body(leaf.content.charset, limit: limits.textSize) {
            encoding.decoded(octets[leaf.body], limit: $0)
        }
        if isCut { isCutOff = true }
        return text
    }

    private mutating func readFields(_ header: EntityHeader, of octets: [UInt8], _ limits: Limits) {
        if header.fields.count > limits.fields { isCutOff = true }
        for field in header.fields.prefix(max(0, limits.fields)) {
            let (value, isCut) = ReadableText.field(octets[field.body], limit: limits.fieldCharacters)
            let name = octets[field.name].prefix(max(0, limits.fieldCharacters))
            if isCut || name.count < field.name.count { isCutOff = true }
            fields.append(Field(name: String(decoding: name, as: UTF8.self), value: value))
        }
    }

    /// Sets `html` to the HTML with its images. Returns the indices, in `leaves`, of the images that the HTML shows.
    private mutating func showImages(
        _ html: String, of leaves: [EntityScanner.Leaf], _ octets: [UInt8], _ limits: Limits
    ) -> Set<Int> {
        let images = InlineImages(html)
        guard !images.isEmpty else {
            self.html = HTMLBody(text: html)
            return []
        }
        var indices: [String: Int] = [:]
        for (index, leaf) in leaves.enumerated() where InlineImages.types.contains(leaf.content.type) {
            guard let contentID = leaf.content.contentID, indices[contentID] == nil else { continue }
            indices[contentID] = index
        }
        var shown: Set<Int> = []
        var count = 0
        var size = 0
        // An image that is too large is decoded only once, however often the HTML names it.
        var tooLarge: Set<Int> = []
        var isCut = false
        let text = images.replaced { contentID in
            guard let index = indices[contentID] else { return nil }
            guard count < limits.images, !tooLarge.contains(index) else {
                isCut = true
                return nil
            }
            let leaf = leaves[index]
            let room = limits.imageSize - size
            let image = leaf.content.encoding.decoded(octets[leaf.body], limit: room + 1)
            guard image.count <= room else {
                tooLarge.insert(index)
                isCut = true
                return nil
            }
            count += 1
            size += image.count
            shown.insert(index)
            return (leaf.content.type, image)
        }
        if isCut { isCutOff = true }
        self.html = HTMLBody(text: text)
        return shown
    }
}
