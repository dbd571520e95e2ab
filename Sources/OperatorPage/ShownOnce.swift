import RelayCore

/// Secrets that were just made, until the page that shows each one has been fetched; and which forms have done their work already.
///
/// A form that makes a secret answers with a redirect, so that to load the page again does not make another one. The secret waits here
/// meanwhile: in memory only, for a minute, and for one reader.
actor ShownOnce {
    enum Secret: Sendable {
        /// `previousUntil`: until when the key's secret before works, of a key that was rotated.
        case key(APIKey, previousUntil: Timestamp?)
        case webhook(WebhookSecret)
    }

    private enum Work {
        /// The form came again meanwhile: so many wait for what becomes of it.
        case underWay([CheckedContinuation<Void, Never>])
        case done(Secret?)
    }

    private struct Entry {
        /// Where the form leads to.
        var path: String
        var work: Work
        var until: Timestamp
    }

    private let clock: any RelayClock
    /// By what each form carries.
    private var entries: [String: Entry] = [:]

    private static let life = Duration.seconds(60)
    private static let most = 1000

    init(clock: any RelayClock) { self.clock = clock }

    /// The page that this form has led to already; nil where it comes for the first time, which is noted until ``finish(_:at:_:)`` or
    /// ``forget(_:)``. While the same form is at work, its end is waited for.
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
        // Nobody sends forms so fast. Those at work are bounded by the connections.
        if entries.count >= ShownOnce.most {
            entries = entries.filter { if case .underWay = $0.value.work { true } else { false } }
        }
        entries[form] = Entry(path: path, work: .underWay([]), until: now + ShownOnce.life)
        return nil
    }

    /// The form has done its work: who sends it again is led to the same page.
    func finish(_ form: String, at path: String, _ secret: Secret? = nil) {
        let waiting = waiting(for: form)
        entries[form] = Entry(path: path, work: .done(secret), until: clock.now() + ShownOnce.life)
        for continuation in waiting { continuation.resume() }
    }

    /// The form has failed, and may be sent again.
    func forget(_ form: String) {
        let waiting = waiting(for: form)
        entries[form] = nil
        for continuation in waiting { continuation.resume() }
    }

    private func waiting(for form: String) -> [CheckedContinuation<Void, Never>] {
        if case .underWay(let waiting) = entries[form]?.work { waiting } else { [] }
    }

    /// The secret, for the first who asks for the page.
    func take(_ path: String) -> Secret? {
        guard let (form, found) = entries.first(where: { $0.value.path == path }), found.until > clock.now(),
            case .done(let secret?) = found.work
        else { return nil }
        entries[form]?.work = .done(nil)
        return secret
    }
}
