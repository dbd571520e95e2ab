import RelayCore

extension PostgreSQLStore: TemplateStore {
    public func insert(_ template: Template) async throws -> TemplateInsertion {
        try await write { connection in
            try TemplateRow.queueLock(in: connection)
            if try TemplateRow.isTaken(template.name, template.owner, in: connection) { return .nameTaken }
            let number =
                try connection.integer("SELECT count(*) FROM template WHERE owner = $1", [template.owner.stored]) ?? 0
            guard number < Template.mostOfOwner else { return .tooMany }
            try TemplateRow.queueInsert(template, in: connection)
            return .inserted
        }
    }

    public func templates(_ filter: TemplateFilter) async throws -> [TemplateSummary] {
        var conditions = ["true"]
        var parameters: [any ParameterValue] = [max(filter.limit, 0)]
        func parameter(_ value: any ParameterValue) -> String {
            parameters.append(value)
            return "$\(parameters.count)"
        }
        if let owner = filter.owner { conditions.append("owner = \(parameter(owner.stored))") }
        if let after = filter.after {
            conditions.append("(owner, name_key) > (\(parameter(after.owner.stored)), \(parameter(after.nameKey)))")
        }
        let sql = """
            SELECT template.id, owner, name, template.version, template.created_at, updated_at, created_by, subject
            FROM template \(TemplateRow.latest) WHERE \(conditions.joined(separator: " AND "))
            ORDER BY owner, name_key LIMIT $1
            """
        return try await look { [parameters] in try $0.rows(sql, parameters, TemplateRow.summary) }
    }

    public func template(_ reference: TemplateReference, of owner: TemplateOwner?) async throws -> Template? {
        try await look { try TemplateRow.find(reference, owner, in: $0) }
    }

    public func template(named name: String, of owner: TemplateOwner) async throws -> Template? {
        try await look { connection in
            try connection.first(
                """
                SELECT \(TemplateRow.columns) FROM template \(TemplateRow.latest) WHERE owner = $1 AND name_key = $2
                """, [owner.stored, Template.nameKey(name)], TemplateRow.template)
        }
    }

    public func versions(
        of id: TemplateID, before version: Int?, limit: Int
    ) async throws -> [TemplateVersionSummary] {
        try await look { connection in
            try connection.rows(
                """
                SELECT version, created_at, created_by, subject FROM template_version
                WHERE template = $1 AND version < $2 ORDER BY version DESC LIMIT $3
                """, [id.text, version ?? .max, max(limit, 0)]
            ) { row in
                guard let version = row.integer(0), let createdAt = row.timestamp(1) else {
                    throw TemplateRow.unreadable
                }
                return TemplateVersionSummary(
                    version: Int(version), subject: TemplateRow.text(row.bytes(3)), createdAt: createdAt,
                    createdBy: row.text(2).flatMap { KeyID($0) })
            }
        }
    }

    public func saveTemplate(
        _ id: TemplateID, of owner: TemplateOwner?, by author: KeyID?, now: Timestamp,
        _ change: @escaping @Sendable (inout Template) throws -> Void
    ) async throws -> TemplateSaving {
        try await write { connection in
            try TemplateRow.queueLock(in: connection)
            guard let before = try TemplateRow.find(TemplateReference(id), owner, in: connection) else {
                return .notFound
            }
            var wanted = before
            do { try change(&wanted) } catch { return .refused(error) }
            let saved = before.saved(as: wanted, by: author, now: now)
            if try TemplateRow.isTaken(saved.name, saved.owner, but: id, in: connection) { return .nameTaken }
            try TemplateRow.queueWrite(saved, after: before, in: connection)
            return .saved(saved, before: before)
        }
    }

    public func deleteTemplate(_ id: TemplateID, of owner: TemplateOwner?) async throws -> Bool {
        try await write { connection in
            try TemplateRow.queueLock(in: connection)
            let isDeleted =
                try connection.execute(
                    "DELETE FROM template WHERE id = $1 AND ($2 IS NULL OR owner = $2)", [id.text, owner?.stored]) == 1
            guard isDeleted else { return false }
            try connection.queue("DELETE FROM template_version WHERE template = $1", [id.text])
            return true
        }
    }
}

/// Reads and writes the tables `template` and `template_version`.
private enum TemplateRow {
    /// The columns of a template joined with one of its versions.
    static let columns = """
        template.id, owner, name, template_version.version, template.created_at, template.version, updated_at,
        template_version.created_at, created_by, subject, variables, sender, reply_to, html, text
        """

    static let latest = """
        JOIN template_version ON template_version.template = template.id AND template_version.version = template.version
        """

    static let unreadable = StoreError.corrupt("a template's row can't be read")

    /// A transaction that changes templates waits for other transactions that change templates, because the names and
    /// the number of templates must stay correct. Waiting is rare, because people save rarely. Reads do not wait.
    static func queueLock(in connection: Connection) throws {
        try connection.queue("LOCK TABLE template IN SHARE ROW EXCLUSIVE MODE")
    }

    static func text(_ octets: [UInt8]?) -> String? { octets.map { String(decoding: $0, as: UTF8.self) } }

    static func summary(_ row: ResultRow) throws -> TemplateSummary {
        guard let id = row.text(0).flatMap({ TemplateID($0) }), let owner = row.text(1).flatMap(TemplateOwner.init),
            let name = row.text(2), let version = row.integer(3), let createdAt = row.timestamp(4),
            let updatedAt = row.timestamp(5)
        else { throw unreadable }
        return TemplateSummary(
            id: id, owner: owner, name: name, version: Int(version), subject: text(row.bytes(7)),
            createdAt: createdAt, updatedAt: updatedAt, createdBy: row.text(6).flatMap { KeyID($0) })
    }

    static func template(_ row: ResultRow) throws -> Template {
        guard let id = row.text(0).flatMap({ TemplateID($0) }), let owner = row.text(1).flatMap(TemplateOwner.init),
            let name = row.text(2), let version = row.integer(3), let createdAt = row.timestamp(4),
            let latest = row.integer(5), let updatedAt = row.timestamp(6), let savedAt = row.timestamp(7),
            let variables = row.bytes(10).flatMap({ [TemplateVariable](stored: $0) })
        else { throw unreadable }
        return Template(
            id: id, owner: owner, name: name, version: Int(version),
            content: TemplateContent(
                subject: text(row.bytes(9)), html: text(row.bytes(13)), text: text(row.bytes(14)),
                variables: variables, from: row.text(11), replyTo: TagList.tags(row.text(12))),
            createdAt: createdAt, updatedAt: version == latest ? updatedAt : savedAt,
            createdBy: row.text(8).flatMap { KeyID($0) })
    }

    static func find(
        _ reference: TemplateReference, _ owner: TemplateOwner?, in connection: Connection
    ) throws -> Template? {
        let found = try connection.first(
            """
            SELECT \(columns) FROM template JOIN template_version ON template_version.template = template.id
                AND template_version.version = coalesce($1, template.version)
            WHERE template.id = $2
            """, [reference.version, reference.id.text], template)
        return found.flatMap { owner == nil || $0.owner == owner ? $0 : nil }
    }

    static func isTaken(
        _ name: String, _ owner: TemplateOwner, but id: TemplateID? = nil, in connection: Connection
    ) throws -> Bool {
        try connection.isTrue(
            """
            SELECT EXISTS (SELECT 1 FROM template WHERE owner = $1 AND name_key = $2 AND id IS DISTINCT FROM $3)
            """, [owner.stored, Template.nameKey(name), id?.text])
    }

    /// Queues the insertion of a template.
    static func queueInsert(_ template: Template, in connection: Connection) throws {
        try connection.queue(
            """
            INSERT INTO template (id, owner, name, name_key, version, created_at, updated_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            """,
            [
                template.id.text, template.owner.stored, template.name, Template.nameKey(template.name),
                template.version, template.createdAt, template.updatedAt,
            ])
        try queueInsertVersion(template, in: connection)
    }

    private static func queueInsertVersion(_ template: Template, in connection: Connection) throws {
        func octets(_ text: String?) -> Bytes? { text.map { Bytes(Array($0.utf8)) } }
        let content = template.content
        try connection.queue(
            """
            INSERT INTO template_version (template, version, created_at, created_by, subject, variables, sender,
                reply_to, html, text)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
            """,
            [
                template.id.text, template.version, template.updatedAt, template.createdBy?.text,
                octets(content.subject), Bytes(content.variables.stored), content.from,
                TagList.text(content.replyTo), octets(content.html), octets(content.text),
            ])
    }

    /// Queues the statements that write the changes of a save.
    static func queueWrite(_ saved: Template, after before: Template, in connection: Connection) throws {
        guard saved != before || !saved.name.utf8.elementsEqual(before.name.utf8) else { return }
        try connection.queue(
            "UPDATE template SET name = $1, name_key = $2, version = $3, updated_at = $4 WHERE id = $5",
            [saved.name, Template.nameKey(saved.name), saved.version, saved.updatedAt, saved.id.text])
        guard saved.version != before.version else { return }
        try queueInsertVersion(saved, in: connection)
        try connection.queue(
            "DELETE FROM template_version WHERE template = $1 AND version <= $2",
            [saved.id.text, saved.version - Template.keptVersions])
    }
}
