package sample

import "strings"

// language is a language's names, in one script, and how its people write.
type language struct {
	name        string
	weight      int // of 1000 families
	own         int // of 100 families of the language, how many wrote their names in its own script
	first       [2][]string
	last        []string
	ownFirst    [2][]string
	ownLast     []string
	salutations [2]string // in the own script; each is one that registry.ParseName drops
}

const (
	female = iota
	male
)

// initials are put before a name here and there, as in the south.
const initials = "ABCDGJKMNPRSTV"

// salutations in Latin letters.
var latinSalutations = [2][]string{
	female: {"Smt.", "Mrs.", "Ms", "Smt", "Dr. (Mrs)"},
	male:   {"Shri", "Mr.", "Mr", "Dr.", "Shri."},
}

// languages are those of India's campaign, in about the proportions of its people.
// Most names in its register were in Latin letters, whatever the language.
var languages = [...]language{
	{
		name: "Hindi", weight: 420, own: 14,
		first: [2][]string{
			words(`Asha Sunita Meena Pooja Kavita Anita Rekha Geeta Seema Neha Priya Rani Suman Kiran Savita Usha Nirmala Pushpa
				Mamta Sarita Shanti Laxmi Kamla Vimla Manju Babita Sangeeta Renu Poonam Jyoti Preeti Ritu Shalini Anjali Swati Deepa`),
			words(`Ravi Ramesh Suresh Mukesh Rajesh Mahesh Dinesh Rakesh Anil Sunil Vijay Ajay Sanjay Manoj Vinod Ashok Deepak Amit
				Rahul Rohit Mohit Arjun Vikas Pankaj Naveen Satish Jitendra Narendra Mohan Sohan Gopal Hari Shyam Raju Pawan Lalit`),
		},
		last: words(`Kumar Sharma Singh Verma Yadav Gupta Mishra Pandey Tiwari Chauhan Rajput Maurya Jha Prasad Thakur Saxena Srivastava
			Agarwal Dubey Shukla Rawat Negi Meena Gurjar Jat Kushwaha Paswan Ram`),
		ownFirst: [2][]string{
			words(`आशा सुनीता मीना पूजा कविता अनीता रेखा गीता सीमा नेहा प्रिया सुमन किरण सविता उषा निर्मला पुष्पा ममता सरिता शांति कमला ज्योति`),
			words(`रवि रमेश सुरेश मुकेश राजेश महेश दिनेश राकेश अनिल सुनील विजय अजय संजय मनोज विनोद अशोक दीपक अमित राहुल मोहन गोपाल श्याम`),
		},
		ownLast:     words(`शर्मा सिंह वर्मा यादव गुप्ता मिश्रा पाण्डेय तिवारी चौहान राजपूत मौर्य झा प्रसाद ठाकुर सक्सेना अग्रवाल दुबे शुक्ला रावत नेगी`),
		salutations: [2]string{"श्रीमती", "श्री"},
	},
	{
		name: "Bengali", weight: 100, own: 20,
		first: [2][]string{
			words(`Ananya Mousumi Sharmila Soma Rupa Mitali Kakoli Sudipta Tanushree Moumita Shampa Jhuma Rina Bina Chandana Aparna`),
			words(`Subhash Tapan Swapan Amal Bimal Kamal Prasenjit Abhijit Sourav Anirban Partha Debasish Tarun Goutam Sujit Ranjit`),
		},
		last: words(`Das Ghosh Bose Roy Mondal Banerjee Mukherjee Chatterjee Sarkar Biswas Saha Paul Dey Sen Mitra Dutta`),
		ownFirst: [2][]string{
			words(`অনন্যা মৌসুমী শর্মিলা সোমা রূপা মিতালী কাকলি মৌমিতা শম্পা রীনা বীণা চন্দনা`),
			words(`সুভাষ তপন স্বপন অমল বিমল কমল অভিজিৎ সৌরভ পার্থ তরুণ গৌতম সুজিত`),
		},
		ownLast:     words(`দাস ঘোষ বসু রায় মণ্ডল ব্যানার্জী সরকার বিশ্বাস সাহা পাল দে সেন মিত্র দত্ত`),
		salutations: [2]string{"শ্রীমতী", "ডা"},
	},
	{
		name: "Telugu", weight: 95, own: 16,
		first: [2][]string{
			words(`Lakshmi Padma Swapna Sravani Anusha Lavanya Sujatha Bhavani Aruna Radha Sirisha Madhavi Kalyani Vasantha`),
			words(`Venkatesh Srinivas Nagaraju Krishna Ramana Suresh Naresh Prasad Kiran Chandra Raghu Satyanarayana Mallesh Anjaneyulu`),
		},
		last: words(`Reddy Rao Naidu Chowdary Goud Varma Raju Sastry Yadav Babu Prasad Murthy`),
		ownFirst: [2][]string{
			words(`లక్ష్మి పద్మ స్వప్న శ్రావణి అనూష లావణ్య సుజాత భవాని అరుణ రాధ మాధవి`),
			words(`వెంకటేష్ శ్రీనివాస్ నాగరాజు కృష్ణ రమణ సురేష్ నరేష్ ప్రసాద్ కిరణ్ చంద్ర రఘు`),
		},
		ownLast:     words(`రెడ్డి రావు నాయుడు చౌదరి గౌడ్ వర్మ రాజు శాస్త్రి యాదవ్ మూర్తి`),
		salutations: [2]string{"శ్రీమతి", "డా"},
	},
	{
		name: "Tamil", weight: 85, own: 22,
		first: [2][]string{
			words(`Meena Kavitha Selvi Revathi Valli Malathi Sumathi Vijaya Thenmozhi Amutha Gomathi Kala Saraswathi Devi`),
			words(`Murugan Karthik Senthil Selvam Kumaran Arun Prakash Saravanan Mani Ganesan Velu Anbu Rajan Balaji`),
		},
		last: words(`Sundaram Subramanian Krishnan Raman Natarajan Iyer Pillai Nadar Gounder Mudaliar Chettiar Murugesan Palani`),
		ownFirst: [2][]string{
			words(`மீனா கவிதா ரேவதி வள்ளி மாலதி சுமதி விஜயா தேன்மொழி அமுதா கோமதி கலா`),
			words(`முருகன் கார்த்திக் செந்தில் குமரன் அருண் பிரகாஷ் சரவணன் மணி கணேசன் வேலு அன்பு`),
		},
		ownLast:     words(`சுந்தரம் சுப்பிரமணியன் கிருஷ்ணன் ராமன் நடராஜன் ஐயர் பிள்ளை முருகேசன் பழனி`),
		salutations: [2]string{"திருமதி", "திரு"},
	},
	{
		name: "Gujarati", weight: 65, own: 16,
		first: [2][]string{
			words(`Hetal Komal Bhavna Jignasha Daksha Hansa Kokila Ila Parul Urvashi Dipti Nita`),
			words(`Jignesh Bhavesh Hitesh Paresh Mehul Nilesh Kalpesh Chirag Dharmesh Bharat Kanti Vipul`),
		},
		last: words(`Patel Shah Mehta Desai Joshi Trivedi Parmar Solanki Chaudhari Modi Rathod Vaghela`),
		ownFirst: [2][]string{
			words(`હેતલ કોમલ ભાવના દક્ષા હંસા કોકિલા ઇલા પારુલ દીપ્તિ નીતા`),
			words(`જીગ્નેશ ભાવેશ હિતેશ પરેશ મેહુલ નિલેશ ચિરાગ ભરત વિપુલ`),
		},
		ownLast:     words(`પટેલ શાહ મહેતા દેસાઈ જોશી ત્રિવેદી પરમાર સોલંકી ચૌધરી મોદી`),
		salutations: [2]string{"શ્રીમતી", "ડૉ"},
	},
	{
		name: "Kannada", weight: 60, own: 16,
		first: [2][]string{
			words(`Savitha Shobha Roopa Vidya Nagamma Girija Sudha Pavithra Chaitra Ashwini Bhagya Jayamma`),
			words(`Manjunath Basavaraj Mallikarjun Nagesh Shivakumar Prakash Raghavendra Girish Umesh Lokesh Chandrashekar Yogesh`),
		},
		last: words(`Gowda Hegde Shetty Patil Naik Bhat Kulkarni Acharya Rao Swamy Murthy Hiremath`),
		ownFirst: [2][]string{
			words(`ಸವಿತಾ ಶೋಭಾ ರೂಪಾ ವಿದ್ಯಾ ಗಿರಿಜಾ ಸುಧಾ ಪವಿತ್ರಾ ಚೈತ್ರಾ ಅಶ್ವಿನಿ ಭಾಗ್ಯ`),
			words(`ಮಂಜುನಾಥ ಬಸವರಾಜ ನಾಗೇಶ ಶಿವಕುಮಾರ ಪ್ರಕಾಶ ರಾಘವೇಂದ್ರ ಗಿರೀಶ ಉಮೇಶ ಲೋಕೇಶ`),
		},
		ownLast:     words(`ಗೌಡ ಹೆಗಡೆ ಶೆಟ್ಟಿ ಪಾಟೀಲ ನಾಯಕ ಭಟ್ ಕುಲಕರ್ಣಿ ಆಚಾರ್ಯ ರಾವ್ ಸ್ವಾಮಿ`),
		salutations: [2]string{"ಶ್ರೀಮತಿ", "ಡಾ"},
	},
	{
		name: "Malayalam", weight: 50, own: 18,
		first: [2][]string{
			words(`Sreeja Bindu Sheeba Latha Ambika Girija Remya Athira Mini Sindhu Leela Mary`),
			words(`Rajeev Biju Santhosh Anoop Sreekumar Vinod Shaji Joseph Thomas George Unnikrishnan Sajan`),
		},
		last: words(`Nair Menon Pillai Varghese Mathew Kurup Panicker Nambiar Thomas Jacob Kurian Das`),
		ownFirst: [2][]string{
			words(`ശ്രീജ ബിന്ദു ഷീബ ലത അംബിക ഗിരിജ രമ്യ ആതിര മിനി സിന്ധു ലീല`),
			words(`രാജീവ് ബിജു സന്തോഷ് അനൂപ് ശ്രീകുമാർ വിനോദ് ഷാജി ജോസഫ് തോമസ് ജോർജ്`),
		},
		ownLast:     words(`നായർ മേനോൻ പിള്ള വർഗീസ് മാത്യു കുറുപ്പ് പണിക്കർ നമ്പ്യാർ ജേക്കബ്`),
		salutations: [2]string{"ശ്രീമതി", "ഡോ"},
	},
	{
		name: "Punjabi", weight: 50, own: 16,
		first: [2][]string{
			words(`Harpreet Gurpreet Manpreet Jaspreet Simran Amarjit Baljit Kuldeep Paramjit Rajwinder`),
			words(`Gurmeet Harjit Balwinder Sukhwinder Jaswant Kulwant Manjit Satnam Lakhwinder Avtar`),
		},
		last: words(`Singh Kaur Gill Sidhu Sandhu Dhillon Grewal Bajwa Brar Sekhon`),
		ownFirst: [2][]string{
			words(`ਹਰਪ੍ਰੀਤ ਗੁਰਪ੍ਰੀਤ ਮਨਪ੍ਰੀਤ ਜਸਪ੍ਰੀਤ ਸਿਮਰਨ ਅਮਰਜੀਤ ਬਲਜੀਤ ਕੁਲਦੀਪ`),
			words(`ਗੁਰਮੀਤ ਹਰਜੀਤ ਬਲਵਿੰਦਰ ਸੁਖਵਿੰਦਰ ਜਸਵੰਤ ਕੁਲਵੰਤ ਮਨਜੀਤ ਸਤਨਾਮ`),
		},
		ownLast:     words(`ਸਿੰਘ ਕੌਰ ਗਿੱਲ ਸਿੱਧੂ ਸੰਧੂ ਢਿੱਲੋਂ ਗਰੇਵਾਲ ਬਾਜਵਾ ਬਰਾੜ`),
		salutations: [2]string{"ਸ਼੍ਰੀਮਤੀ", "ਡਾ"},
	},
	{
		name: "Urdu", weight: 75, own: 12,
		first: [2][]string{
			words(`Farah Shabana Nasreen Rukhsana Ayesha Fatima Zainab Salma Yasmin Rehana Noor Shaheen`),
			words(`Imran Salman Irfan Aslam Akram Javed Naseem Rashid Wasim Yusuf Ibrahim Mohd`),
		},
		last: words(`Khan Sheikh Ansari Qureshi Siddiqui Ali Ahmed Hussain Begum Pathan Malik Mirza`),
		ownFirst: [2][]string{
			words(`فرح شبانہ نسرین رخسانہ عائشہ فاطمہ زینب سلمیٰ یاسمین ریحانہ نور شاہین`),
			words(`عمران سلمان عرفان اسلم اکرم جاوید نسیم راشد وسیم یوسف ابراہیم`),
		},
		ownLast:     words(`خان شیخ انصاری قریشی صدیقی علی احمد حسین پٹھان ملک مرزا`),
		salutations: [2]string{"محترمہ", "جناب"},
	},
}

func words(s string) []string { return strings.Fields(s) }
