import Diagnosis
import RelayCore
import Settings

/// Connects to each listener as a client would.
struct ListenerCheck: Sendable {
    let settings: RelaySettings
    let clock: any RelayClock

    /// - Parameter known: fingerprints of the certificates in the files.
    func look(known: [String]) async -> [Finding] {
        await withTaskGroup(of: (Int, Finding).self) { group in
            for (index, listener) in listeners.enumerated() {
                group.addTask { (index, await look(at: listener, known: known)) }
            }
            var findings: [Int: Finding] = [:]
            for await (index, finding) in group { findings[index] = finding }
            return findings.sorted { $0.key < $1.key }.map(\.value)
        }
    }

    /// Which sockets systemd has bound the settings do not say: those of the units as they come.
    private var listeners: [RelaySettings.Listener] {
        settings.listen.flatMap { listener -> [RelaySettings.Listener] in
            guard case .inheritedSockets = listener else { return [listener] }
            return [
                .address(.startTLS, host: "0.0.0.0", port: 587), .address(.implicitTLS, host: "0.0.0.0", port: 465),
            ]
        }
    }

    private func look(at listener: RelaySettings.Listener, known: [String]) async -> Finding {
        guard case .address(let security, let host, let port, _) = listener, port != 0 else {
            return Judge.listener("\(listener)", .anyPort, known: known, now: clock.now())
        }
        let hostname = settings.hostname
        let sighting = await within(Doctor.patience) {
            await onOwnThread { SMTPVisit.sighting(host: host, port: port, security, serverName: hostname) }
        }
        let late = ListenerSighting.mute("no answer within \(Doctor.patience.components.seconds) seconds")
        return Judge.listener("\(listener)", sighting ?? late, known: known, now: clock.now())
    }
}
