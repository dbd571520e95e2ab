import RelayCore

// MARK: Templates

extension MemoryStore {
    public func insert(_ template: Template) async throws -> TemplateInsertion {
        tables { tables in
            let owned = tables.latestTemplates.filter { $0.owner == template.owner }
            if owned.contains(where: { $0.hasName(template.name) }) { return .nameTaken }
            if owned.count >= Template.mostOfOwner { return .tooMany }
            tables.templates[template.id] = [template]
            tables.templateTimes[TemplateReference(template.id, version: template.version)] = template.updatedAt
            return .inserted
        }
    }

    public func templates(_ filter: TemplateFilter) async throws -> [TemplateSummary] {
        func order(_ owner: TemplateOwner, _ nameKey: String) -> [UInt8] {
            Array(owner.stored.utf8) + [0] + nameKey.utf8
        }
        let found = tables { $0.latestTemplates }.filter { filter.owner == nil || $0.owner == filter.owner }
            .map { (order($0.owner, Template.nameKey($0.name)), $0) }
            .filter { place, _ in
                filter.after.map { order($0.owner, $0.nameKey).lexicographicallyPrecedes(place) } ?? true
            }
            .sorted { $0.0.lexicographicallyPrecedes($1.0) }
        return found.prefix(filter.limit).map { TemplateSummary($0.1) }
    }

    public func template(_ reference: TemplateReference, of owner: TemplateOwner?) async throws -> Template? {
        tables { tables in
            guard let versions = tables.templates[reference.id], let latest = versions.last,
                owner == nil || latest.owner == owner
            else { return nil }
            return reference.version == nil ? latest : versions.first { $0.version == reference.version }
        }
    }

    public func template(named name: String, of owner: TemplateOwner) async throws -> Template? {
        tables { $0.latestTemplates.first { $0.owner == owner && $0.hasName(name) } }
    }

    public func versions(
        of id: TemplateID, before version: Int?, limit: Int
    ) async throws -> [TemplateVersionSummary] {
        tables { tables in
            (tables.templates[id] ?? []).reversed().filter { $0.version < version ?? .max }.prefix(limit).map {
                let time = tables.templateTimes[TemplateReference(id, version: $0.version)]
                return TemplateVersionSummary(
                    version: $0.version, subject: $0.content.subject, createdAt: time ?? $0.updatedAt,
                    createdBy: $0.createdBy)
            }
        }
    }

    public func saveTemplate(
        _ id: TemplateID, of owner: TemplateOwner?, by author: KeyID?, now: Timestamp,
        _ change: @escaping @Sendable (inout Template) throws -> Void
    ) async throws -> TemplateSaving {
        tables { tables in
            guard let before = tables.templates[id]?.last, owner == nil || before.owner == owner else {
                return .notFound
            }
            var wanted = before
            do { try change(&wanted) } catch { return .refused(error) }
            let saved = before.saved(as: wanted, by: author, now: now)
            if tables.latestTemplates.contains(where: {
                $0.id != id && $0.owner == before.owner && $0.hasName(saved.name)
            }) {
                return .nameTaken
            }
            var versions = tables.templates[id] ?? []
            // All versions have the template's name. If only the name was changed, the latest version has the time of
            // the change.
            for index in versions.indices { versions[index].name = saved.name }
            if saved.version == before.version {
                versions.removeLast()
            } else {
                let last = TemplateReference(id, version: before.version)
                versions[versions.count - 1].updatedAt = tables.templateTimes[last] ?? before.updatedAt
                tables.templateTimes[TemplateReference(id, version: saved.version)] = saved.updatedAt
            }
            versions.append(saved)
            tables.templates[id] = versions.filter { $0.version > saved.version - Template.keptVersions }
            return .saved(saved, before: before)
        }
    }

    public func deleteTemplate(_ id: TemplateID, of owner: TemplateOwner?) async throws -> Bool {
        tables { tables in
            guard let latest = tables.templates[id]?.last, owner == nil || latest.owner == owner else { return false }
            tables.templates[id] = nil
            return true
        }
    }
}

extension Template {
    fileprivate func hasName(_ other: String) -> Bool {
        Template.nameKey(name).utf8.elementsEqual(Template.nameKey(other).utf8)
    }
}

extension MemoryTables {
    fileprivate var latestTemplates: [Template] { templates.values.compactMap(\.last) }

    // MARK: Statistics

    /// Counts recipients of a message under its template and its tags.
    mutating func count(
        _ kind: EventKind, recipients: Int, of message: MessageFacts, at time: Timestamp, now: Timestamp
    ) {
        var counter = StatisticsCounter()
        counter.count(kind, recipients: recipients, of: message, at: time, now: now)
        for (place, counts) in counter.rows {
            let names = statistics.keys.filter {
                ($0.key, $0.kind, $0.day) == (place.key, place.kind, place.day)
            }
            let isOver = statistics[place] == nil && names.count >= StatisticsKind.mostNames
            let place = isOver ? place.others : place
            statistics[place] = (statistics[place] ?? RecipientCounts()) + counts
        }
    }

    mutating func pruneStatistics(now: Timestamp) {
        statistics = statistics.filter { $0.key.day.number > now.day.number - StatisticsKind.keptDays }
    }
}

extension MemoryStore {
    public func statistics(_ filter: StatisticsFilter, now: Timestamp) async throws -> [NamedStatistics] {
        tables { tables in
            var found: [[UInt8]: MessageStatistics] = [:]
            for (place, counts) in tables.statistics {
                let name = Array(place.name.utf8)
                guard place.kind == filter.kind, filter.name.map({ Array($0.utf8) == name }) ?? true,
                    filter.key.map({ $0 == place.key }) ?? true,
                    filter.environment.map({ $0 == tables.keys[place.key]?.stored.key.environment }) ?? true,
                    filter.after.map({ $0.utf8.lexicographicallyPrecedes(name) }) ?? true,
                    (0..<30).contains(now.day.number - place.day.number)
                else { continue }
                found[name, default: MessageStatistics()].add(counts, of: place.day, today: now.day)
            }
            return found.sorted { $0.key.lexicographicallyPrecedes($1.key) }.prefix(filter.limit).map {
                NamedStatistics(name: String(decoding: $0.key, as: UTF8.self), statistics: $0.value)
            }
        }
    }
}

// MARK: Simulated domains

extension MemoryStore {
    public func insert(_ domain: SimulatedDomain) async throws -> SimulatedDomainInsertion {
        tables { tables in
            if tables.domains[domain.name] != nil { return .exists }
            if tables.domains.count >= SimulatedDomain.most { return .tooMany }
            tables.domains[domain.name] = domain
            return .inserted
        }
    }

    public func simulatedDomains(after name: String?, limit: Int) async throws -> [SimulatedDomain] {
        Array(
            tables { $0.domains.values.filter { $0.name > name ?? "" } }.sorted { $0.name < $1.name }.prefix(limit))
    }

    public func simulatedDomain(_ name: String) async throws -> SimulatedDomain? { tables { $0.domains[name] } }

    public func verifySimulatedDomain(_ name: String, now: Timestamp) async throws -> SimulatedDomain? {
        tables { tables in
            guard var domain = tables.domains[name] else { return nil }
            domain.verifiedAt = domain.verifiedAt ?? now
            tables.domains[name] = domain
            return domain
        }
    }
}
