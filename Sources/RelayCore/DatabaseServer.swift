/// One of the servers that the setting `database` names, and the state in which it was found.
public struct DatabaseServer: Hashable, Sendable {
    /// What the server is.
    public enum Role: Hashable, Sendable {
        /// The server could not be asked. The value is the reason.
        case away(String)
        /// The server is in recovery and accepts no writes.
        case standby
        /// The server accepts writes. Each promotion of a standby starts a timeline with a higher number (PostgreSQL's
        /// manual, section "Timelines"). `instance` is different for each start of each server.
        case primary(timeline: Int64, instance: Int64)
    }

    /// Host and port.
    public var name: String
    /// What the server answered, or why it could not be asked.
    public var role: Role

    public init(name: String, role: Role) {
        self.name = name
        self.role = role
    }
}

extension DatabaseServer: CustomStringConvertible {
    public var description: String {
        switch role {
        case .away(let why): "\(name): \(why)"
        case .standby: "\(name): standby"
        case .primary(let timeline, _): "\(name): primary, timeline \(timeline)"
        }
    }
}

extension Sequence where Element == DatabaseServer {
    /// All servers in one line.
    public var summary: String { map(\.description).joined(separator: "; ") }
}

/// The decision which of several servers a relay uses.
///
/// After a failover the old primary may start again and accept writes. What it accepts is lost when it becomes a
/// standby. Its timeline is lower than the new primary's, because a promotion starts a timeline with a higher number.
public struct PrimaryChoice: Hashable, Sendable {
    /// The position in the list, from 0, of the server to use; nil if none is to be used.
    public let chosen: Int?
    /// The timeline of the server to use; nil if none is to be used.
    public let timeline: Int64?
    /// Why the servers contradict each other; nil if they do not.
    public let conflict: PrimaryConflict?

    /// - Parameters:
    ///   - preferred: the position that is chosen if it is one of several that lead to the same server.
    ///   - known: the highest timeline that this process has used. A server with a lower one is not chosen.
    public init(among servers: [DatabaseServer], preferred: Int = 0, known: Int64 = 0) {
        var primaries: [(position: Int, timeline: Int64, instance: Int64)] = []
        for (position, server) in servers.enumerated() {
            guard case .primary(let timeline, let instance) = server.role else { continue }
            guard let same = primaries.firstIndex(where: { $0.instance == instance }) else {
                primaries.append((position, timeline, instance))
                continue
            }
            if position == preferred { primaries[same].position = position }
        }
        let newest = primaries.map(\.timeline).max()
        let best = primaries.filter { $0.timeline == newest }
        func names(_ positions: some Sequence<Int>) -> [String] { positions.sorted().map { servers[$0].name } }
        guard let newest, let first = best.first else {
            (chosen, timeline, conflict) = (nil, nil, nil)
            return
        }
        guard newest >= known else {
            (chosen, timeline) = (nil, nil)
            conflict = .onlyOld(names(primaries.map(\.position)), newest: newest, known: known)
            return
        }
        guard best.count == 1 else {
            (chosen, timeline, conflict) = (nil, nil, .equal(names(best.map(\.position)), timeline: newest))
            return
        }
        let old = primaries.filter { $0.timeline < newest }.map(\.position)
        (chosen, timeline) = (first.position, newest)
        conflict = old.isEmpty ? nil : .old(names(old), used: servers[first.position].name)
    }
}

/// Servers of one setting that accept writes although they must not.
public enum PrimaryConflict: Hashable, Sendable {
    /// These have a lower timeline than the server that is used.
    case old([String], used: String)
    /// These have the same timeline, so it can't be determined which of them has the mail.
    case equal([String], timeline: Int64)
    /// Only these accept writes, and their timelines are lower than one that this process has used.
    case onlyOld([String], newest: Int64, known: Int64)

    /// What was found, as a clause.
    public var explanation: String {
        switch self {
        case .old(let names, let used):
            "two primaries: \(DatabaseServer.list(names)) accepts writes, but \(used) was promoted later and is the one in use"
        case .equal(let names, let timeline):
            "two primaries: \(DatabaseServer.list(names)) accept writes on the same timeline \(timeline), so it can't be determined "
                + "which of them has the mail; the relay uses neither"
        case .onlyOld(let names, let newest, let known):
            "\(DatabaseServer.list(names)) accepts writes, but its timeline \(newest) is older than the timeline \(known) that this "
                + "relay has used; the relay does not use it"
        }
    }

    /// What to do about it.
    public var remedy: String {
        switch self {
        case .old(let names, _):
            "stop PostgreSQL on \(DatabaseServer.list(names)) and make it a standby (docs/postgresql.md); do not reset "
                + "synchronous_standby_names on it: what it accepts is lost"
        case .equal:
            "stop PostgreSQL on the one that is not to hold the mail, and do not reset synchronous_standby_names on it"
        case .onlyOld:
            "start the server that was promoted; if it is lost for good, restart the relay, which then uses this one"
        }
    }
}

extension DatabaseServer {
    fileprivate static func list(_ names: [String]) -> String { names.joined(separator: " and ") }
}
