import Settings

extension Judge {
    /// - Parameter file: nil if there is none and the defaults apply.
    public static func settings(file: String?, mistakes: [SettingsMistake]) -> [Finding] {
        guard mistakes.isEmpty else {
            return mistakes.map { mistake in
                .problem(.settings, "\(mistake)", remedy: remedy(mistake))
            }
        }
        return [.ok(.settings, "\(file ?? "no settings file, the defaults"): no mistakes")]
    }

    private static func remedy(_ mistake: SettingsMistake) -> String {
        switch mistake.place {
        case .file(let file, let line?, _): "correct line \(line) of \(file), then: hiveku-relay config check"
        case .file(let file, nil, _): "correct \(file), or name another with --config"
        case .environment(let variable): "correct or unset \(variable)"
        }
    }
}
