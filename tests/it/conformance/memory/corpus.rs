//! A thousand passages of a maintenance handbook, and fifty questions that each have one right answer: forty machines
//! times twenty-five jobs. Every passage shares its machine with twenty-four others and its job with thirty-nine.

const MACHINES: [&str; 40] = [
    "lathe",
    "kiln",
    "conveyor",
    "turbine",
    "centrifuge",
    "autoclave",
    "extruder",
    "palletizer",
    "compressor",
    "chiller",
    "boiler",
    "crane",
    "forklift",
    "grinder",
    "mixer",
    "bottler",
    "labeler",
    "shredder",
    "furnace",
    "separator",
    "evaporator",
    "loom",
    "planer",
    "sandblaster",
    "dryer",
    "crusher",
    "sifter",
    "granulator",
    "welder",
    "riveter",
    "laminator",
    "engraver",
    "stacker",
    "winder",
    "generator",
    "elevator",
    "dosing station",
    "paint booth",
    "milling cell",
    "hydraulic press",
];

/// Job: how the handbook says it, how an asker says it.
const JOBS: [(&str, &str); 25] = [
    ("lubricating the bearings", "lubricate bearing"),
    ("replacing a torn belt", "belts torn, replacement"),
    ("aligning the shaft", "shaft alignment"),
    ("draining condensate", "drain the condensate"),
    ("cleaning the intake filter", "intake filters clean"),
    ("calibrating the thermocouple", "thermocouples calibrated"),
    ("bleeding air from the circuit", "bleed air, circuits"),
    ("tightening loose bolts", "bolt loose, tighten"),
    ("resetting the emergency stop", "reset after emergency stops"),
    ("testing the guard interlock", "interlocks of the guards, test"),
    ("measuring insulation resistance", "measure insulation"),
    ("topping up coolant", "coolant topped up"),
    ("inspecting welds for cracks", "cracked welds inspection"),
    ("adjusting the tension spring", "spring tension adjust"),
    ("flushing the gearbox", "flush a gearbox"),
    ("swapping the fuse", "fuses swap"),
    ("sharpening the blades", "blade dull, sharpen"),
    ("balancing the rotor", "rotors balanced"),
    ("descaling the nozzle", "nozzles scaled, descale"),
    ("unjamming the feeder", "unjam feeders"),
    ("updating the firmware", "firmware update"),
    ("reading the vibration log", "vibration logs"),
    ("greasing the chain", "chains grease"),
    ("sealing an oil leak", "oil leaks, seal"),
    ("venting the pressure vessel", "vessel pressure vents"),
];

const BEFORE: [&str; 7] = [
    "Read the safety sheet first.",
    "Two people are needed for this.",
    "Plan half a shift and tell the foreman.",
    "Lock the main switch and hang the red tag on it.",
    "Wear gloves and eye protection at all times.",
    "Check the order of spare parts in the store room.",
    "This is done while production rests.",
];

const AFTER: [&str; 5] = [
    "Write the time and your name into the book.",
    "Run it empty for a quarter of an hour and listen.",
    "Take a photograph of what you found.",
    "Remove the tag only when everybody has left the area.",
    "If in doubt, call the night shift.",
];

fn id(machine: usize, job: usize) -> String {
    format!("handbook/{machine}.{job}")
}

/// Id and text of every passage.
pub fn passages() -> Vec<(String, String)> {
    let mut passages = Vec::with_capacity(1_000);
    for (m, machine) in MACHINES.iter().enumerate() {
        for (j, (job, _)) in JOBS.iter().enumerate() {
            let (before, after) = (BEFORE[(m * 3 + j) % 7], AFTER[(m + j * 2) % 5]);
            let due = (m * 7 + j * 13) % 90 + 10;
            let text = format!(
                "{machine}: {job}. {before} For {job}, stop the {machine}, open the cover of the {machine}, follow \
                 the steps on its plate, close it again. Due every {due} days. {after}"
            );
            passages.push((id(m, j), text));
        }
    }
    passages
}

/// Question and the id of its answer.
pub fn questions() -> Vec<(String, String)> {
    (0..50)
        .map(|n| {
            let (machine, job) = (n * 17 % 40, n * 7 % 25);
            let (_, asked) = JOBS[job];
            (format!("{}: {asked}?", MACHINES[machine]), id(machine, job))
        })
        .collect()
}
