/// A message as a person reads it: its header, its text, its HTML, what is attached.
///
/// It is read from the octets that are kept. Any octets give a result, in time and memory that grow with their number only, so that a
/// message may be cut off anywhere. Nothing here decides on what is sent: that is ``MessagePreparation``.
public struct ReadableMessage: Sendable {
    /// A field of the header.
    public struct Field: Sendable, Hashable {
        /// As it is written.
        public var name: String
        /// In one line, with encoded words decoded, without controls.
        public var value: String
    }

    /// HTML as it came. It is not sanitised: show it only where no script runs and nothing is loaded.
    public struct HTMLBody: Sendable, Hashable {
        /// With the message's own small images in `data:` URLs where it names them by `src="cid:…"`.
        public var text: String
    }

    /// Something attached, or shown within the HTML.
    public struct Part: Sendable, Hashable {
        /// The name of the file, 255 characters at most. Nil where it has none.
        public var name: String?
        /// `image/png`, in lower case.
        public var type: String
        /// Octets when decoded.
        public var size: Int
        /// Without angle brackets. Nil where it has none.
        public var contentID: String?
        /// The message says that it is an attachment, or the HTML does not show it.
        public var isAttachment: Bool
    }

    /// How much of a message is read.
    public struct Limits: Sendable, Hashable {
        /// Multiparts within one another. A deeper one is a part without parts.
        public var depth = 20
        public var parts = 200
        /// 1,000 at most.
        public var fields = EntityHeader.maximumFields
        /// Characters (Unicode scalars) of the name of a field, and of its value.
        public var fieldCharacters = 4000
        /// Octets in UTF-8 of the text, and of the HTML without its images.
        public var textSize = 256 * 1024
        /// Images within the HTML. One that is shown twice counts twice.
        public var images = 20
        /// Octets of all images within the HTML.
        public var imageSize = 256 * 1024

        public init() {}
    }

    /// In the order of the message.
    public var fields: [Field] = []
    /// The first text/plain that is no attachment. A multipart whose parts can't be found is text too.
    public var text: String?
    /// The first text/html that is no attachment.
    public var html: HTMLBody?
    /// All but text and HTML, in the order of the message.
    public var parts: [Part] = []
    /// Whether something was left out because of a limit. That the octets themselves are cut off is not known here.
    public var isCutOff = false

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
        // What encodes a multipart is not defined, and its charset neither (RFC 2045 section 6.4).
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

    /// Sets the HTML with its images. Returns the indices of the leaves that it shows.
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
        // An image that is too large is decoded once only, however often the HTML names it.
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
