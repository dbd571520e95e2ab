import Admission
import ServiceLifecycle
import Settings

/// Admission. At the end, it stores when keys were last used.
struct AdmissionPart: RelayPart {
    let admission: Admission

    func run(among _: RelayParts) async {
        await cancelWhenGracefulShutdown { await admission.run() }
        await admission.flushActivity()
    }

    func reconfigure(_ settings: RelaySettings) { admission.reconfigure(.init(settings)) }
}
