package struct RhythmCommand { package static func main() async {} }
