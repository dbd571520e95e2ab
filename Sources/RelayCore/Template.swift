/// The id of a template: `tpl_` and 20 characters.
public typealias TemplateID = ResourceID<Template>

/// An email with placeholders, kept under a name.
public struct Template: Hashable, Sendable, IdentifiedResource {
    public static let idPrefix = "tpl_"

    public var id: TemplateID
    public var owner: TemplateOwner
    /// Satisfies ``fault(ofName:)``.
    public var name: String
    /// From 1 on. Each save that changes the content makes the next one.
    public var version: Int
    public var content: TemplateContent
    /// When the first version was saved.
    public var createdAt: Timestamp
    /// When this version was saved, or the name was changed.
    public var updatedAt: Timestamp
    /// The key that saved this version; nil where an operator did.
    public var createdBy: KeyID?

    public init(
        id: TemplateID, owner: TemplateOwner, name: String, version: Int = 1, content: TemplateContent,
        createdAt: Timestamp, updatedAt: Timestamp, createdBy: KeyID? = nil
    ) {
        self.id = id
        self.owner = owner
        self.name = name
        self.version = version
        self.content = content
        self.createdAt = createdAt
        self.updatedAt = updatedAt
        self.createdBy = createdBy
    }

    /// Templates of one owner at most.
    public static let mostOfOwner = 1000
    /// Versions of a template that are kept. The oldest go.
    public static let keptVersions = 200
    /// Characters (Unicode scalars) of a name at most.
    public static let longestName = 100

    /// What is wrong with a name, as the rest of a sentence whose subject is the name; nil if nothing is.
    public static func fault(ofName name: String) -> String? {
        let scalars = name.unicodeScalars
        if scalars.isEmpty { return "is empty; choose one" }
        if scalars.count > longestName {
            return "has \(scalars.count) characters; shorten it to at most \(longestName)"
        }
        if scalars.contains(where: { $0.properties.generalCategory == .control || isLineSeparator($0) }) {
            return "holds a control character or a line separator; remove it"
        }
        if scalars.allSatisfy(\.properties.isWhitespace) { return "is blank; choose one" }
        if nameKey(name).hasPrefix(idPrefix) { return "begins with \(idPrefix), as an id does; choose another one" }
        return nil
    }

    private static func isLineSeparator(_ scalar: Unicode.Scalar) -> Bool {
        scalar == "\u{2028}" || scalar == "\u{2029}"
    }

    /// What names are matched by: two names of an owner must differ in it.
    public static func nameKey(_ name: String) -> String { name.lowercased() }
}

/// Whose templates they are.
public enum TemplateOwner: Hashable, Sendable {
    /// The relay's: of all its keys that may send from any domain, and of its operator.
    case shared
    /// A tenant's: of a key with a domain allowlist, which sees these only.
    case key(KeyID)
}

extension Key {
    /// The owner of the templates that the key sees, by its rules as they are.
    public var templateOwner: TemplateOwner { domains.isEmpty ? .shared : .key(id) }
}

/// A template as a request names it: by its id, with or without a version.
public struct TemplateReference: Hashable, Sendable, CustomStringConvertible {
    public var id: TemplateID
    /// Nil: the latest.
    public var version: Int?

    public init(_ id: TemplateID, version: Int? = nil) {
        self.id = id
        self.version = version
    }

    /// `tpl_…` or `tpl_…@3`. Nil for anything else.
    public init?(_ text: String) {
        let parts = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
        guard let id = TemplateID(String(parts[0])) else { return nil }
        self.id = id
        guard parts.count == 2 else { return }
        // Nine digits: a version is a 32-bit number in the store.
        guard (1...9).contains(parts[1].utf8.count), parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let version = Int(parts[1]), version > 0, parts[1].utf8.first != 0x30
        else { return nil }
        self.version = version
    }

    public var description: String { version.map { "\(id)@\($0)" } ?? id.text }
}

/// What one version of a template says.
public struct TemplateContent: Hashable, Sendable {
    /// With placeholders, as ``html`` and ``text``. Nil: the request must have one.
    public var subject: String?
    /// At least one of the two is there.
    public var html: String?
    public var text: String?
    /// All that the placeholders name, in the order in which they were declared.
    public var variables: [TemplateVariable]
    /// What a request without these fields gets: `Name <a@b>` or `a@b`, without placeholders.
    public var from: String?
    public var replyTo: [String]

    public init(
        subject: String? = nil, html: String? = nil, text: String? = nil, variables: [TemplateVariable] = [],
        from: String? = nil, replyTo: [String] = []
    ) {
        self.subject = subject
        self.html = html
        self.text = text
        self.variables = variables
        self.from = from
        self.replyTo = replyTo
    }

    /// Octets of ``html`` and of ``text`` at most.
    public static let longestBody = 1 << 20
    /// Octets of ``subject`` at most.
    public static let longestSubject = 4096
    public static let mostVariables = 200
    /// Placeholders in subject, html and text together.
    public static let mostPlaceholders = 1000
    /// Addresses in ``replyTo``.
    public static let mostReplyTo = 50
    /// Octets of ``from`` and of each address in ``replyTo``.
    public static let longestAddress = 1000
}
