import RelayCore

/// Holds new secrets until the page that shows each one has been fetched, and remembers which forms have already been
/// processed.
///
/// A form that makes a secret answers with a redirect, so that reloading the page does not make another one. Until the
/// page is fetched, the secret waits here: only in memory, for a minute, and for one reader.
actor ShownOnce {
    enum Secret: Sendable {
        /// `previousUntil`: the time until which the old secret of a rotated key works.
        case key(APIKey, previousUntil: Timestamp?)
        case webhook(WebhookSecret)
    }

    private enum Work {
        /// The same form was sent again before the first one ended. These requests wait for its result.
        case underWay([CheckedContinuation<Void, Never>])
        case done(Secret?)
    }

    private struct Entry {
        /// The path that the form leads to.
        var path: String
        var work: Work
        var until: Timestamp
    }

    private let clock: any RelayClock
    /// The entries, by the id that each form carries.
    private var entries: [String: Entry] = [:]

    private static let life = Duration.seconds(60)
    private static let most = 1000

    init(clock: any RelayClock) { self.clock = clock }

    /// Returns the page that this form has already led to. Returns nil if the form is new; it is then noted until
    /// ``finish(_:at:_:)`` or ``forget(_:)``. If the same form is being processed, waits until the processing ends.
    func begin(_ form: String, _ path: String) async -> String? {
        let now = clock.now()
        entries = entries.filter { entry in
            if case .underWay = entry.value.work { true } else { entry.value.until > now }
        }
        while let known = entries[form] {
            guard case .underWay = known.work else { return known.path }
            await withCheckedContinuation { continuation in
                guard case .underWay(let others) = entries[form]?.work else { return continuation.resume() }
                entries[form]?.work = .underWay(others + [continuation])
            }
        }
        // No person sends forms so fast. The number of forms being processed is bounded by the connections.
        if entries.count >= ShownOnce.most {
            entries = entries.filter { if case .underWay = $0.value.work { true } else { false } }
        }
        entries[form] = Entry(path: path, work: .underWay([]), until: now + ShownOnce.life)
        return nil
    }

    /// Records that the form has been processed. If it is sent again, it leads to the same page.
    func finish(_ form: String, at path: String, _ secret: Secret? = nil) {
        let waiting = waiting(for: form)
        entries[form] = Entry(path: path, work: .done(secret), until: clock.now() + ShownOnce.life)
        for continuation in waiting { continuation.resume() }
    }

    /// Records that the form has failed. It may be sent again.
    func forget(_ form: String) {
        let waiting = waiting(for: form)
        entries[form] = nil
        for continuation in waiting { continuation.resume() }
    }

    private func waiting(for form: String) -> [CheckedContinuation<Void, Never>] {
        if case .underWay(let waiting) = entries[form]?.work { waiting } else { [] }
    }

    /// Returns the secret to the first request for the page, and nil to every later one.
    func take(_ path: String) -> Secret? {
        guard let (form, found) = entries.first(where: { $0.value.path == path }), found.until > clock.now(),
            case .done(let secret?) = found.work
        else { return nil }
        entries[form]?.work = .done(nil)
        return secret
    }
}
