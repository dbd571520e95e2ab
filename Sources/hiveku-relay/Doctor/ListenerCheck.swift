import Diagnosis
import RelayCore
import Settings

/// Connects to each listener as a client would.
struct ListenerCheck: Sendable {
    let settings: RelaySettings
    let clock: any RelayClock

    /// A listener to visit, with what the settings say about its place.
    private struct Subject: Sendable {
        /// The listener as the settings write it.
        let text: String
        let language: ListenerVisit.Language
        /// Nil if it is not known where to connect.
        let place: ListenerVisit.Place?
        let takesProxyHeader: Bool
    }

    /// - Parameter known: fingerprints of the certificates in the files.
    func look(known: [String]) async -> [Finding] {
        await withTaskGroup(of: (Int, Finding).self) { group in
            for (index, subject) in subjects.enumerated() {
                group.addTask { (index, await look(at: subject, known: known)) }
            }
            var findings: [Int: Finding] = [:]
            for await (index, finding) in group { findings[index] = finding }
            let inherited =
                settings.http.listen.contains(.inheritedSockets) ? [Judge.inheritedSockets("http.listen")] : []
            return findings.sorted { $0.key < $1.key }.map(\.value) + inherited
        }
    }

    private var subjects: [Subject] {
        settings.listen.flatMap(subjects) + settings.http.listen.compactMap(subject)
    }

    /// The settings do not say which sockets systemd has bound. So this check assumes the sockets of the units as they
    /// are shipped.
    private func subjects(of listener: RelaySettings.Listener) -> [Subject] {
        switch listener {
        case .address(let security, let host, let port, let proxy):
            return [
                Subject(
                    text: "\(listener)", language: .smtp(security), place: place(host, port), takesProxyHeader: proxy)
            ]
        case .inheritedSockets:
            let units: [RelaySettings.Listener] = [
                .address(.startTLS, host: "0.0.0.0", port: 587), .address(.implicitTLS, host: "0.0.0.0", port: 465),
            ]
            return units.flatMap(subjects)
        }
    }

    /// Nil for the sockets of systemd: it is not known which units for HTTP are in use.
    private func subject(of listener: RelaySettings.HTTP.Listener) -> Subject? {
        switch listener {
        case .address(let security, let host, let port, let proxy):
            Subject(text: "\(listener)", language: .http(security), place: place(host, port), takesProxyHeader: proxy)
        case .unix(let path):
            Subject(text: "\(listener)", language: .http(.http), place: .unix(path: path), takesProxyHeader: false)
        case .inheritedSockets: nil
        }
    }

    private func place(_ host: String, _ port: Int) -> ListenerVisit.Place? {
        port == 0 ? nil : .address(host: host, port: port)
    }

    private func look(at subject: Subject, known: [String]) async -> Finding {
        guard let place = subject.place else {
            return Judge.listener(subject.text, .anyPort, known: known, now: clock.now())
        }
        let (hostname, balancers) = (settings.hostname, subject.takesProxyHeader ? settings.proxyNetworks : nil)
        let observation = await within(Doctor.timeout) {
            await onOwnThread {
                ListenerVisit.observation(
                    at: place, speaking: subject.language, balancers: balancers, serverName: hostname)
            }
        }
        let late = ListenerObservation.mute("no answer within \(Doctor.timeout.components.seconds) seconds")
        return Judge.listener(subject.text, observation ?? late, known: known, now: clock.now())
    }
}
