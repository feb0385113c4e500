"""Clinical notes about patients who do not exist: names, numbers and findings are invented.

They have what de-identification meets in real ones: labelled and unlabelled identifiers, patients
who come again, and notes that are carried forward with a line more.
"""

import random
from dataclasses import dataclass

FIRST = (
    "Ada",
    "Bruno",
    "Celia",
    "Dario",
    "Edda",
    "Felix",
    "Greta",
    "Hugo",
    "Ines",
    "Jonas",
    "Karla",
    "Lino",
    "Mira",
    "Nils",
    "Olga",
    "Pia",
)
LAST = (
    "Aldermoor",
    "Brackwell",
    "Cotterly",
    "Dunmere",
    "Eastholm",
    "Farnby",
    "Gildersome",
    "Hathery",
    "Ingleford",
)
STREETS = (
    "Alder",
    "Birch",
    "Cedar",
    "Dogwood",
    "Elm",
    "Foxglove",
    "Garnet",
    "Hazel",
    "Juniper",
    "Larch",
    "Maple",
    "Orchard",
)
TOWNS = (("Dayton", "OH", "454"), ("Albany", "NY", "122"), ("Boise", "ID", "837"))
AREA_CODES = ("937", "518", "208", "617", "312", "503")

COMPLAINTS = (
    "a cough that has kept them awake for two weeks",
    "pain in the lower back after lifting a box",
    "shortness of breath when climbing one flight of stairs",
    "burning on urination since the weekend",
    "a headache behind the right eye that comes in the afternoon",
    "swelling of both ankles that is worse by evening",
    "palpitations that last for some minutes and pass by themselves",
    "dizziness on standing up, without a fall",
    "an itching rash on the forearms after gardening",
    "stiffness of the fingers for an hour each morning",
    "loss of appetite and four kilograms of weight since spring",
    "numbness of the left hand at night",
)
HISTORY = (
    "Hypertension is known for ten years and was controlled at the last visit.",
    "Type 2 diabetes was found at a routine examination and is treated by diet.",
    "The gall bladder was removed in their thirties without complications.",
    "There is no history of heart disease in the family.",
    "Asthma in childhood; no attack since the age of fifteen.",
    "They stopped smoking eight years ago, after fifteen pack-years.",
    "A knee was replaced two years ago and gives no trouble.",
    "Hypothyroidism is substituted, and the last TSH was in range.",
    "A mother and a sister had breast cancer before the age of fifty.",
    "Penicillin caused hives once and is avoided since.",
    "They drink a glass of wine with dinner on most days.",
    "Migraine was diagnosed at university and has become rare.",
)
FINDINGS = (
    "Lungs are clear to auscultation on both sides.",
    "Fine crackles are heard at both bases.",
    "The abdomen is soft and not tender, with normal bowel sounds.",
    "There is tenderness over the right flank.",
    "Heart sounds are regular, without a murmur.",
    "A soft systolic murmur is heard at the apex.",
    "Pitting oedema reaches to the middle of the shins.",
    "Strength and sensation of the limbs are symmetrical.",
    "Tinel's sign is positive at the left wrist.",
    "The skin of both forearms shows raised red patches with scratch marks.",
    "The pharynx is red, and the tonsils are not enlarged.",
    "Straight leg raising is limited to forty degrees on the right.",
)
DRUGS = (
    "amlodipine",
    "atorvastatin",
    "cetirizine",
    "ibuprofen",
    "levothyroxine",
    "lisinopril",
    "metformin",
    "omeprazole",
)
PLANS = (
    "A chest film is ordered, and they return when it is read.",
    "Blood count, electrolytes and creatinine are drawn today.",
    "Physiotherapy twice a week for six weeks, and no heavy lifting until then.",
    "They keep a diary of blood pressure, morning and evening, and bring it along.",
    "An ultrasound of the kidneys is arranged for next week.",
    "A splint for the night is prescribed; nerve conduction is measured if it does not help.",
    "They were told to come at once if breath gets short at rest or the chest hurts.",
    "The dose is doubled and looked at again in fourteen days.",
    "Nothing is changed, and the next visit is in three months.",
    "A dermatologist will see them; a mild steroid cream until then.",
    "Echocardiography is requested because of the murmur.",
    "Diet was discussed for twenty minutes, and a leaflet was given.",
)


@dataclass(frozen=True)
class Patient:
    """Somebody invented. All but the name is what the kinds of `pii` find."""

    name: str
    record: str
    birth: str
    phone: str
    email: str
    ssn: str
    address: str

    @property
    def identifiers(self) -> tuple[str, ...]:
        """What has to be gone from every stored text."""
        return (self.record, self.birth, self.phone, self.email, self.ssn, self.address)


def patient(chance: random.Random) -> Patient:
    """One more of them."""
    first, last = chance.choice(FIRST), chance.choice(LAST)
    town, state, zip_start = chance.choice(TOWNS)
    number = chance.randint
    return Patient(
        name=f"{first} {last}",
        record=f"H{number(1_000_000, 9_999_999)}",
        birth=f"{number(1935, 2004)}-{number(1, 12):02}-{number(1, 28):02}",
        phone=f"({chance.choice(AREA_CODES)}) {number(220, 499)}-{number(1000, 9999)}",
        email=f"{first}.{last}{number(10, 99)}@mailbox.org".lower(),
        ssn=f"{number(100, 599)}-{number(10, 99)}-{number(1000, 9999)}",
        address=f"{number(11, 9999)} {chance.choice(STREETS)} Street, {town}, {state} "
        f"{zip_start}{number(10, 99)}",
    )


def note(one: Patient, chance: random.Random) -> str:
    """A visit of one patient, of about 200 words."""
    drugs = chance.sample(DRUGS, 3)
    doses = "; ".join(f"{drug} {chance.choice((5, 10, 20, 40))} mg daily" for drug in drugs)
    pressure = f"{chance.randint(105, 168)}/{chance.randint(62, 98)}"
    return "\n".join(
        (
            f"Patient: {one.name}    MRN: {one.record}    DOB: {one.birth}",
            f"Address: {one.address}    SSN {one.ssn}",
            "",
            f"Reason for the visit: {one.name} reports {chance.choice(COMPLAINTS)}, "
            f"and besides {chance.choice(COMPLAINTS)}.",
            "History: " + " ".join(chance.sample(HISTORY, 4)),
            f"Medication: {doses}.",
            f"Examination: blood pressure {pressure}, pulse {chance.randint(54, 104)}, "
            f"temperature {chance.randint(361, 389) / 10}. " + " ".join(chance.sample(FINDINGS, 4)),
            "Plan: " + " ".join(chance.sample(PLANS, 4)),
            f"Results go to {one.email}; otherwise call {one.phone} in the afternoon.",
        )
    )


def patients(num: int, seed: int) -> list[Patient]:
    """The same ones for the same seed."""
    chance = random.Random(f"patients {seed}")
    return [patient(chance) for _ in range(num)]


def notes(num_patients: int, seed: int) -> list[str]:
    """One to four notes of each patient; a tenth of them again, with a line more."""
    chance = random.Random(f"notes {seed}")
    found: list[str] = []
    for one in patients(num_patients, seed):
        for _ in range(chance.randint(1, 4)):
            text = note(one, chance)
            found.append(text)
            if chance.random() < 0.1:
                found.append(f"{text}\nCarried forward from the last visit; seen and unchanged.")
    return found
