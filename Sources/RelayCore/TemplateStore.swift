/// A template as lists show it: without what it says, which may be large.
public struct TemplateSummary: Hashable, Sendable {
    public var id: TemplateID
    public var owner: TemplateOwner
    public var name: String
    /// The latest.
    public var version: Int
    public var subject: String?
    public var createdAt: Timestamp
    public var updatedAt: Timestamp
    /// The key that saved the latest version; nil where an operator did.
    public var createdBy: KeyID?

    public init(
        id: TemplateID, owner: TemplateOwner, name: String, version: Int, subject: String?, createdAt: Timestamp,
        updatedAt: Timestamp, createdBy: KeyID?
    ) {
        self.id = id
        self.owner = owner
        self.name = name
        self.version = version
        self.subject = subject
        self.createdAt = createdAt
        self.updatedAt = updatedAt
        self.createdBy = createdBy
    }

    public init(_ template: Template) {
        self.init(
            id: template.id, owner: template.owner, name: template.name, version: template.version,
            subject: template.content.subject, createdAt: template.createdAt, updatedAt: template.updatedAt,
            createdBy: template.createdBy)
    }
}

/// A version of a template as lists show it.
public struct TemplateVersionSummary: Hashable, Sendable {
    public var version: Int
    public var subject: String?
    public var createdAt: Timestamp
    /// The key that saved it; nil where an operator did.
    public var createdBy: KeyID?

    public init(version: Int, subject: String?, createdAt: Timestamp, createdBy: KeyID?) {
        self.version = version
        self.subject = subject
        self.createdAt = createdAt
        self.createdBy = createdBy
    }
}

/// Which templates are asked for.
public struct TemplateFilter: Hashable, Sendable {
    /// Nil: of all owners.
    public var owner: TemplateOwner?
    /// Only those behind this one, in the order of the list: where the next page begins.
    public var after: Place?
    public var limit: Int

    /// Where a template stands in the list. It stays where it is when the template is renamed or deleted.
    public struct Place: Hashable, Sendable {
        public var owner: TemplateOwner
        /// ``Template/nameKey(_:)`` of its name.
        public var nameKey: String

        public init(_ template: TemplateSummary) {
            owner = template.owner
            nameKey = Template.nameKey(template.name)
        }

        public init(owner: TemplateOwner, nameKey: String) {
            self.owner = owner
            self.nameKey = nameKey
        }
    }

    public init(owner: TemplateOwner? = nil, after: Place? = nil, limit: Int = 100) {
        self.owner = owner
        self.after = after
        self.limit = limit
    }
}

public enum TemplateInsertion: Hashable, Sendable {
    case inserted
    case nameTaken
    /// The owner has ``Template/mostOfOwner`` already.
    case tooMany
}

/// What became of the wish to save a template.
public enum TemplateSaving: Sendable {
    /// As it is now, and as it was. They are the same where the change changed nothing.
    case saved(Template, before: Template)
    case nameTaken
    case notFound
    /// What the change threw. Nothing was written.
    case refused(any Error)
}

/// Templates and their versions. A query for an owner's template does not find that of another owner.
public protocol TemplateStore: Sendable {
    /// Adds a template as its version 1.
    func insert(_ template: Template) async throws -> TemplateInsertion
    /// Shared ones first, then by the id of the key that owns them; those of one owner by ``Template/nameKey(_:)``, octet for octet.
    func templates(_ filter: TemplateFilter) async throws -> [TemplateSummary]
    /// A template in the version that is named, else in the latest; nil where there is none, or the version is not kept.
    ///
    /// - Parameter owner: nil: of any owner.
    func template(_ reference: TemplateReference, of owner: TemplateOwner?) async throws -> Template?
    /// The latest version of the template with this name, however its letters are written.
    func template(named name: String, of owner: TemplateOwner) async throws -> Template?
    /// The versions that are kept, newest first; only those below `version`.
    func versions(
        of id: TemplateID, before version: Int?, limit: Int
    ) async throws -> [TemplateVersionSummary]
    /// Changes name and content of the latest version, as it is at that moment. Another content makes the next version; the oldest beyond
    /// ``Template/keptVersions`` goes. All in one transaction.
    ///
    /// - Parameters:
    ///   - owner: nil: of any owner.
    ///   - author: who saves; nil: an operator.
    ///   - change: pure, since it may run more than once. What else it changes than name and content does not count.
    func saveTemplate(
        _ id: TemplateID, of owner: TemplateOwner?, by author: KeyID?, now: Timestamp,
        _ change: @escaping @Sendable (inout Template) throws -> Void
    ) async throws -> TemplateSaving
    /// With all its versions. Returns false where there was none.
    ///
    /// - Parameter owner: nil: of any owner.
    func deleteTemplate(_ id: TemplateID, of owner: TemplateOwner?) async throws -> Bool
}

extension Template {
    /// What a save makes of this template.
    ///
    /// - Parameter wanted: this template with another name or content.
    public func saved(as wanted: Template, by author: KeyID?, now: Timestamp) -> Template {
        var saved = self
        // By octets: Swift takes two spellings of one character for equal.
        let isRenamed = !name.utf8.elementsEqual(wanted.name.utf8)
        guard isRenamed || content != wanted.content || !content.isSpelled(as: wanted.content) else { return saved }
        saved.name = wanted.name
        saved.updatedAt = now
        guard content != wanted.content || !content.isSpelled(as: wanted.content) else { return saved }
        saved.content = wanted.content
        saved.version += 1
        saved.createdBy = author
        return saved
    }
}

extension TemplateContent {
    fileprivate func isSpelled(as other: TemplateContent) -> Bool {
        func same(_ one: String?, _ other: String?) -> Bool {
            one.map { Array($0.utf8) } == other.map { Array($0.utf8) }
        }
        return same(subject, other.subject) && same(html, other.html) && same(text, other.text)
            && same(from, other.from) && zip(replyTo, other.replyTo).allSatisfy { same($0, $1) }
            && variables.stored == other.variables.stored
    }
}

extension TemplateOwner {
    /// How a store keeps it: the key's id; empty: shared.
    package var stored: String {
        switch self {
        case .shared: ""
        case .key(let id): id.text
        }
    }

    /// Nil for what is not ``stored``.
    package init?(stored: String) {
        if stored.isEmpty {
            self = .shared
        } else {
            guard let id = KeyID(stored) else { return nil }
            self = .key(id)
        }
    }
}
