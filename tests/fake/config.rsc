{"App":{"name":"PiCtory","version":"2.1.0","saveTS":"20260420120000","language":"en","layout":{}},
"Summary":{"inpTotal":50,"outTotal":20},
"Devices":[
{"GUID":"5ae91b1f","id":"device_RevPiConnect_20171023_1_0_001","type":"BASE","productType":"105","position":"0","name":"RevPi Connect","bmk":"RevPi Connect","inpVariant":0,"outVariant":0,"comment":"","offset":0,
"inp":{"0":["RevPiStatus","0","8","0",false,"0000","",""],"1":["RevPiIOCycle","0","8","1",false,"0001","",""],"2":["Core_Temperature","0","8","5",false,"0005","",""]},
"out":{"0":["RevPiLED","0","8","6",false,"0007","",""]},
"mem":{},"extend":{}},
{"GUID":"7b1c2d3e","id":"device_RevPiDIO_20160818_1_0_001","type":"LEFT_RIGHT","productType":"96","position":"32","name":"RevPi DIO","bmk":"RevPi DIO","inpVariant":0,"outVariant":0,"comment":"","offset":11,
"inp":{"0":["I_1","0","1","0",true,"0000","","0"],"1":["t_start","0","1","0",true,"0001","start button","1"],"2":["notaus_ok","0","1","0",true,"0002","","2"],"13":["I_14","0","1","0",true,"0013","","13"],
"16":["Counter_1","0","32","6",false,"0017","",""],"17":["Counter_2","0","32","10",false,"0018","",""]},
"out":{"0":["O_1","0","1","70",true,"0033","","0"],"1":["pump","0","1","70",true,"0034","","1"],"13":["O_14","0","1","70",true,"0046","","13"],"16":["PWM_1","0","8","72",false,"0049","",""]},
"mem":{"0":["InputMode_1","0","8","88",false,"0065","",""],"1":["InputDebounce","0","16","104",false,"0081","",""]},"extend":{}},
{"GUID":"9e8f7a6b","id":"device_RevPiAIO_20170301_1_0_001","type":"LEFT_RIGHT","productType":"103","position":"33","name":"RevPi AIO","bmk":"RevPi AIO","inpVariant":0,"outVariant":0,"comment":"","offset":150,
"inp":{"0":["InputValue_1","0","16","0",true,"0000","",""],"1":["RTDValue_1","0","16","8",true,"0004","",""]},
"out":{"0":["OutputValue_1","0","16","20",true,"0008","",""],"1":["total","0","32","22",true,"0009","",""]},
"mem":{"0":["InputRange_1","1","8","24",false,"0010","",""]},"extend":{}}
],"Connections":[]}
